import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import { liveTensors, scope, type Tensor, tensor } from '../index.js';
import { archive } from '../testing/hostile-files.js';
import { readPickle, readPth, writePth } from './pth.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { SerializationError } from './serialization-error.js';
import { StateDictFile } from './state-dict-file.js';

// The files come from PyTorch 2.13 and safetensors 0.8, see fixtures/make_forms.py.

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

const SMALL = {
  weight: [
    [1, -2],
    [0.5, 4],
  ],
  bias: [3, 7],
};

/** All tensors in numbers, by name. */
const lists = (tensors: ReadonlyMap<string, Tensor>) =>
  Object.fromEntries([...tensors].map(([name, value]) => [name, value.tolist()]));

/** Of "NAME" and "NAME, plain": the two, where there are both. */
function expectPairsEqual(tensors: ReadonlyMap<string, Tensor>, pairs: number): void {
  const names = [...tensors.keys()].filter((name) => tensors.has(`${name}, plain`));
  expect(names).toHaveLength(pairs);
  for (const name of names) {
    const [got, want] = [tensors.get(name) as Tensor, tensors.get(`${name}, plain`) as Tensor];
    expect([got.dtype, got.shape, [...got.strides]], name).toEqual([
      want.dtype,
      want.shape,
      [...want.strides],
    ]);
    expect([...got.toNumbers()], name).toEqual([...want.toNumbers()]);
  }
}

const isReadable = (name: string) => !['complex64', 'uint64 over', 'conj'].includes(name);

describe.each(['pth', 'legacy.pth'])('a file of PyTorch 2.13, .%s', (ending) => {
  it('has negated tensors read negated, and conjugated ones refused', () => {
    scope(() => {
      const tensors = readPth(fixture(`marked.${ending}`), { only: isReadable });
      expectPairsEqual(tensors, 2);
      expect(tensors.get('neg')?.tolist()).toEqual([-3, -4, 6]);
      expect(() => readPth(fixture(`marked.${ending}`))).toThrow(/tensor "conj" has the mark 'conj'/);
    });
  });

  it('has 8-bit floats and unsigned integers in a wider dtype', () => {
    scope(() => expectPairsEqual(readPth(fixture(`dtypes.${ending}`), { only: isReadable }), 9));
  });

  it('refuses by name the tensor alone that no dtype here holds, and only where it is wanted', () => {
    const before = liveTensors();
    const only = (wanted: string) => () =>
      readPth(fixture(`dtypes.${ending}`), { only: (name) => name === wanted });
    expect(only('complex64')).toThrow(/tensor "complex64" is complex64, which is not read; leave it out/);
    expect(only('uint64 over')).toThrow(/tensor "uint64 over" holds integers from 2\^63 on/);
    expect(only('complex64')).toThrow(SerializationError);
    expect(liveTensors()).toBe(before);
  });

  it('gives the tensor of a Buffer, and of a Parameter or tensor with attributes', () => {
    scope(() => {
      const tensors = readPth(fixture(`typed.${ending}`));
      expect(lists(tensors)).toEqual({ kept: [1, 2], annotated: [5, 6], attribute: [8] });
      expect([...tensors.values()].map(({ requiresGrad }) => requiresGrad)).toEqual([false, true, false]);
    });
  });

  it('has what stands beside weights read', () => {
    scope(() => {
      expect(lists(readPth(fixture(`beside.${ending}`)))).toEqual(SMALL);
      const all = readPickle(fixture(`beside.${ending}`)) as Map<string, unknown>;
      expect((all.get('scheduler') as Map<string, unknown>).get('milestones')).toEqual(
        new Map([
          [3, 1],
          [6, 1],
        ]),
      );
      expect(Object.fromEntries([...all].slice(3))).toEqual({
        devices: ['cpu', 'cuda:1'],
        complex: [1, -2],
        bytearrays: [Uint8Array.of(97, 255), new Uint8Array()],
        layout: 'strided',
        size: [2, 3],
        default: new Map([['a', [1]]]),
        counter: new Map([
          ['a', 2],
          ['b', 1],
        ]),
        dtypes: ['float8_e4m3fn', 'complex64', 'uint16', 'int4', 'bits8', 'quint8'],
        scheme: 'per_channel_affine',
      });
    });
  });

  it('has objects beside the weights passed over, and none of their code run', () => {
    scope(() => expect(lists(readPth(fixture(`objects.${ending}`)))).toEqual(SMALL));
    expect(() => readPickle(fixture(`objects.${ending}`))).toThrow(
      /refused to load \w+(\.\w+)*: only tensors/,
    );
  });

  it('has the _extra_state of modules left out', () => {
    scope(() => expect(lists(readPth(fixture(`extra.${ending}`)))).toEqual(SMALL));
  });
});

it('reads protocol 4 with objects beside, and a file without checksums', () => {
  scope(() => {
    expect(lists(readPth(fixture('objects4.pth')))).toEqual(SMALL);
    expect(lists(readPth(fixture('unchecked.pth')))).toEqual(SMALL);
  });
});

it('reads what safetensors 0.8 writes and reads', () => {
  scope(() => {
    expectPairsEqual(readSafetensors(fixture('dtypes.safetensors'), { only: isReadable }).tensors, 8);
    const only = (wanted: string) => () =>
      readSafetensors(fixture('dtypes.safetensors'), { only: (name) => name === wanted });
    expect(only('complex64')).toThrow(/tensor "complex64" is complex64, which is not read/);
    expect(only('uint64 over')).toThrow(/tensor "uint64 over" holds integers from 2\^63 on/);
    const { tensors, metadata } = readSafetensors(fixture('lenient.safetensors'));
    expect(tensors.get('a')?.tolist()).toEqual([1.5, -2.5]);
    expect([tensors.get('a')?.dtype, metadata]).toEqual(['float32', {}]);
  });
});

/** A pickle of a dictionary, from opcodes, beside one storage of four floats. */
function pickle(...body: string[]): string {
  const bytes = Buffer.from(['\x80\x02}(', ...body, 'u.'].join(''), 'latin1');
  writeFileSync(
    at('made.pth'),
    archive([
      { name: 'archive/data.pkl', bytes },
      { name: 'archive/data/0', bytes: Buffer.from(Float32Array.of(1, 2, 3, 4).buffer) },
    ]),
  );
  return at('made.pth');
}

const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
const key = text;
const float = `(${text('storage')}ctorch\nFloatStorage\n${text('0')}${text('cpu')}K\x04tQ`;
const floats = (metadata = '') =>
  `ctorch._utils\n_rebuild_tensor_v2\n(${float}K\0K\x04\x85K\x01\x85\x89}${metadata}tR`;

describe('marks of a tensor', () => {
  it.each<[string, string, RegExp | number[]]>([
    ['none', 'N', [1, 2, 3, 4]],
    ['an empty dictionary', '}', [1, 2, 3, 4]],
    ['neg', `}${text('neg')}\x88s`, [-1, -2, -3, -4]],
    ['neg that is false', `}${text('neg')}\x89s`, [1, 2, 3, 4]],
    ['conj of real numbers', `}${text('conj')}\x88s`, /tensor "a" has the mark 'conj'/],
    ['an unknown one', `}${text('zoom')}K\x02s`, /tensor "a" has the mark 'zoom'/],
    ['a list', ']', /tensor "a" has metadata of an unknown form/],
  ])('%s', (_, metadata, expected) => {
    const path = pickle(key('a'), floats(metadata));
    if (Array.isArray(expected)) scope(() => expect(lists(readPth(path))).toEqual({ a: expected }));
    else expect(() => readPth(path)).toThrow(expected);
  });
});

it('has integers that are marked negated read so, and boolean ones refused', () => {
  const marked = (type: string, elements: string) =>
    floats(`}${text('neg')}\x88s`)
      .replace('FloatStorage', type)
      .replace('K\x04tQ', `K${elements}tQ`);
  scope(() => {
    expect(lists(readPth(pickle(key('a'), marked('IntStorage', '\x04')))).a).toEqual(
      [0x3f800000, 0x40000000, 0x40400000, 0x40800000].map((bits) => -bits),
    );
  });
  expect(() => readPth(pickle(key('a'), marked('BoolStorage', '\x10')))).toThrow(
    /the mark 'neg', .* for bool/,
  );
});

describe('objects of other classes', () => {
  const object = `cmy.code\nThing\n(K\x01tR}${text('x')}K\x02sb`;

  it('are carried along, whatever is done with them', () => {
    const doings = [
      `cmy.code\nThing\n)\x81(K\x01K\x02e`, // appended to
      `cmy.code\nThing\n)R(${text('k')}K\x02u`, // items set
      `cmy.code\nThing\n)}\x92`, // made with arguments by name
      `cbuiltins\ngetattr\n(${object}${text('run')}tR)R`, // a method of it called
      `}${object}K\x01s`, // a key
      `cbuiltins\nset\n](${object}e\x85R`, // in a set
    ];
    const beside = doings.map((doing, at) => `${key(`beside ${at}`)}${doing}`);
    const path = pickle(key('model'), `}${key('a')}${floats()}s`, ...beside);
    scope(() => expect(lists(readPth(path))).toEqual({ a: [1, 2, 3, 4] }));
    expect(() => readPickle(path)).toThrow(/refused to load (my\.code\.Thing|builtins\.getattr):/);
  });

  it('are refused where the state dict itself holds one', () => {
    const path = pickle(key('model'), `}(${key('a')}${floats()}${key('b')}${object}u`);
    expect(() => readPth(path)).toThrow(/refused to load my\.code\.Thing, the entry "b" of the state dict/);
    expect(() => readPth(pickle(key('model'), object))).toThrow(
      /its entry "model" is my\.code\.Thing|refused to load/,
    );
  });

  it('end the search with what to do where they are all there is', () => {
    writeFileSync(
      at('whole.pth'),
      archive([{ name: 'a/data.pkl', bytes: Buffer.from(`\x80\x02${object}.`, 'latin1') }]),
    );
    expect(() => readPth(at('whole.pth'))).toThrow(
      /found an object of my\.code\.Thing, .*torch\.save\(object\.state_dict\(\), path\)/,
    );
  });

  it('do not stand for a tensor class of their own', () => {
    const retyped = (type: string, rebuild: string) =>
      pickle(
        key('a'),
        `ctorch._tensor\n_rebuild_from_type_v2\n(c${rebuild}\nc${type}\n(${float}K\0K\x04\x85K\x01\x85\x89}t}tR`,
      );
    const v2 = 'torch._utils\n_rebuild_tensor_v2';
    scope(() => {
      expect(lists(readPth(retyped('torch\nTensor', v2)))).toEqual({ a: [1, 2, 3, 4] });
    });
    expect(() => readPth(retyped('my\nTensor', v2))).toThrow(/refused to load my\.Tensor/);
    expect(() => readPth(retyped('torch\nTensor', 'os\nsystem'))).toThrow(/refused to load os\.system/);
    expect(() => readPth(retyped('torch\nTensor', 'collections\nOrderedDict'))).toThrow(/rebuilds a tensor/);
    expect(() => readPth(retyped('torch\nTensor', 'torch._tensor\n_rebuild_from_type_v2'))).toThrow(
      /rebuilds a tensor/,
    );
  });
});

describe('StateDictFile', () => {
  const state = () => new Map([['a', tensor([1, 2])]]);

  it.each(['x', 'x.bin', 'x.pth.tar-60', 'x.ckpt', 'x.safetensors', 'x.pth'])(
    'knows %s by its content',
    (name) => {
      scope(() => {
        writePth(at(name), state());
        using pickled = new StateDictFile(at(name));
        expect(lists(pickled.read())).toEqual({ a: [1, 2] });
        writeSafetensors(at(name), state(), { format: 'pt' });
        using plain = new StateDictFile(at(name));
        expect([lists(plain.read()), plain.metadata]).toEqual([{ a: [1, 2] }, { format: 'pt' }]);
        expect([...plain.tensors]).toEqual([['a', { dtype: 'float32', shape: [2] }]]);
        expect(plain.read(() => false).size).toBe(0);
      });
    },
  );

  it.each<[string, string, RegExp]>([
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
      /a pointer of Git LFS: fetch/,
    ],
    ['a web page', '<!DOCTYPE html><html></html>', /found a web page: download the file itself/],
    ['gzip', '\x1f\x8b\x08\0abc', /found a gzip archive: unpack it first/],
    ['HDF5', '\x89HDF\r\n\x1a\n', /found an HDF5 file/],
    ['nothing', '', /found an empty file/],
    ['text', 'hello', /found something else, which begins with "hello"/],
  ])('says of %s what it is', (_, content, message) => {
    writeFileSync(at('other'), content, 'latin1');
    expect(() => new StateDictFile(at('other'))).toThrow(SerializationError);
    expect(() => new StateDictFile(at('other'))).toThrow(message);
  });

  it('finds the weights of a checkpoint under the usual keys, one in another, and says what it passed over', () => {
    const dict = `}${key('a')}${floats()}s`;
    const found = (...body: string[]) => {
      using file = new StateDictFile(pickle(...body));
      return [[...file.tensors.keys()], file.path, file.passedOver];
    };
    for (const name of ['net', 'module', 'teacher', 'student', 'model_ema', 'state_dict_ema', 'network'])
      expect(found(key(name), dict, key('epoch'), 'K\x03')).toEqual([['a'], [name], []]);
    expect(found(key('model'), `}${key('state_dict')}${dict}s`)).toEqual([
      ['a'],
      ['model', 'state_dict'],
      [],
    ]);
    expect(found(key('student'), dict, key('teacher'), dict)).toEqual([['a'], ['teacher'], ['student']]);
    expect(found(key('my weights'), dict, key('epoch'), 'K\x03')).toEqual([['a'], ['my weights'], []]);
    // A name of the list may stand for something else, and weights may hold a number.
    expect(found(key('model'), `}${key('depth')}K\x12s`, key('weights of it'), dict)[1]).toEqual([
      'weights of it',
    ]);
    expect(() => found(key('one'), dict, key('two'), dict)).toThrow(
      /one state dict, found them under "one", "two"/,
    );
    using mixed = new StateDictFile(pickle(key('a'), floats(), key('epoch'), 'K\x03'));
    expect([[...mixed.tensors.keys()], [...mixed.others]]).toEqual([['a'], [['epoch', 'a number']]]);
  });

  it('is not kept busy by a checkpoint that contains itself under every key', () => {
    const names = [
      'state_dict',
      'model',
      'net',
      'network',
      'module',
      'weights',
      'params',
      'teacher',
      'student',
    ];
    const itself = names.map((name) => `${text(name)}h\0s`).join('');
    const path = pickle(key('x'), `}q\0${itself}`, key('model'), 'h\0', key('net'), 'h\0');
    const start = process.cpuUsage();
    expect(() => readPth(path)).toThrow(SerializationError);
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(500);
  });
});
