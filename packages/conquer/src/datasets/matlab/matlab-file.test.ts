import { deflateSync } from 'node:zlib';
import { Mutations } from '@conquer-dml/testing/mutations';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { describe, expect, it } from 'vitest';
import { MatlabError } from './matlab-error.js';
import { parseMatlab } from './matlab-file.js';

/** Files as SciPy writes them, in base64: raw, compressed. */
const write = `
import base64, io, numpy, scipy.io
names = numpy.array(input['paths'], dtype=object)
annotations = numpy.zeros((1, len(names)), dtype=[('relative_im_path', 'O'), ('class', 'O'), ('test', 'O')])
for i, name in enumerate(names):
    annotations[0, i] = (name, numpy.uint8(i + 1), numpy.uint8(i % 2))
variables = {'annotations': annotations, 'x': numpy.array([[1.5, 2], [3, 4]]), 'cells': numpy.array([['a', 7]], dtype=object),
    'words': numpy.array(['ab', 'cd']), 'empty': numpy.zeros((0, 3)), 'big': numpy.array([[2**40]], dtype=numpy.int64)}
output = []
for compress in (False, True):
    file = io.BytesIO()
    scipy.io.savemat(file, variables, do_compression=compress)
    output.append(base64.b64encode(file.getvalue()).decode())
`;
const paths = ['car_ims/000001.jpg', 'car_ims/0000é2.jpg', 'car_ims/000003.jpg'];

describeWithPython('parseMatlab', ['scipy', 'numpy'], () => {
  const [raw, compressed] = runPython<string[]>(write, { paths }).map((text) =>
    Buffer.from(text, 'base64'),
  ) as [Buffer, Buffer];

  it.each([
    ['raw', raw],
    ['compressed', compressed],
  ])('reads what SciPy writes: %s', (_, bytes) => {
    const variables = parseMatlab(bytes);
    expect([...variables.keys()]).toEqual(['annotations', 'x', 'cells', 'words', 'empty', 'big']);
    const annotations = variables.get('annotations');
    if (annotations?.kind !== 'struct') throw new Error('expected a struct array');
    expect(annotations.dims).toEqual([1, 3]);
    const texts = annotations.fields
      .get('relative_im_path')
      ?.map((v) => (v.kind === 'char' ? v.rows[0] : null));
    expect(texts).toEqual(paths);
    const classes = annotations.fields.get('class')?.map((v) => (v.kind === 'numeric' ? v.values[0] : null));
    expect(classes).toEqual([1, 2, 3]);
    expect(variables.get('x')).toEqual({
      kind: 'numeric',
      dims: [2, 2],
      values: new Float64Array([1.5, 3, 2, 4]),
    });
    expect(variables.get('words')).toEqual({ kind: 'char', dims: [2, 2], rows: ['ab', 'cd'] });
    expect(variables.get('empty')).toMatchObject({ kind: 'numeric', dims: [0, 3] });
    expect(variables.get('big')).toMatchObject({ values: new Float64Array([2 ** 40]) });
    expect(variables.get('cells')).toMatchObject({ kind: 'cell', dims: [1, 2] });
  });

  it('of a damaged file gives a value or a MatlabError, soon and in little memory', () => {
    const mutations = new Mutations(1);
    let refused = 0;
    const start = process.resourceUsage().maxRSS;
    for (let i = 0; i < 4000; i++) {
      const bytes = mutations.damage(i % 2 === 0 ? raw : compressed, [raw, compressed]);
      try {
        parseMatlab(bytes);
      } catch (error) {
        if (!(error instanceof MatlabError)) throw error;
        expect(error.message).not.toContain('\n');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(400);
    expect(process.resourceUsage().maxRSS - start).toBeLessThan(200 * 1024);
  });

  it('refuses every truncation but those between variables', () => {
    let whole = 0;
    for (let length = 0; length < raw.length; length += 7) {
      try {
        parseMatlab(raw.subarray(0, length));
        whole++;
      } catch (error) {
        expect(error).toBeInstanceOf(MatlabError);
      }
    }
    expect(whole).toBeLessThan(5);
  });

  it('refuses a bomb: a small file that inflates to more than 64 MiB', () => {
    const zeros = deflateSync(Buffer.alloc(70 * 2 ** 20));
    const tag = Buffer.alloc(8);
    tag.writeUInt32LE(15, 0);
    tag.writeUInt32LE(zeros.length, 4);
    expect(() => parseMatlab(Buffer.concat([raw.subarray(0, 128), tag, zeros]))).toThrow(/more than 64 MiB/);
  });
});

describe('parseMatlab', () => {
  it('names files of other kinds', () => {
    expect(() => parseMatlab(Buffer.from('hello'))).toThrow('does not begin like a MATLAB v5 file');
    const hdf5 = Buffer.alloc(600);
    hdf5.write('\x89HDF', 0, 'latin1');
    expect(() => parseMatlab(hdf5)).toThrow(/MATLAB 7.3 file/);
  });
});
