import { deflateSync } from 'node:zlib';
import { Mutations } from '@conquer-dml/testing/mutations';
import { describe, expect, it } from 'vitest';
import { MatlabError } from './matlab-error.js';
import { parseMatlab } from './matlab-file.js';

// Files built by hand, as the format describes them: what SciPy never writes, and what is damaged on purpose.

const int8 = 1;
const uint8 = 2;
const uint16 = 4;
const int32 = 5;
const uint32 = 6;
const double = 9;
const matrix = 14;
const compressed = 15;
const utf8 = 16;
const utf16 = 17;
const utf32 = 18;

/** Writes elements in one of the two byte orders. */
class Writer {
  readonly #little: boolean;

  constructor(little: boolean) {
    this.#little = little;
  }

  numbers(bytes: 1 | 2 | 4 | 8, values: readonly number[]): Buffer {
    const view = new DataView(new ArrayBuffer(bytes * values.length));
    for (const [i, value] of values.entries()) {
      if (bytes === 1) view.setUint8(i, value);
      else if (bytes === 2) view.setUint16(2 * i, value, this.#little);
      else if (bytes === 4) view.setUint32(4 * i, value, this.#little);
      else view.setFloat64(8 * i, value, this.#little);
    }
    return Buffer.from(view.buffer);
  }

  /** `small`: packed into the tag, as MATLAB does with up to four bytes. */
  element(type: number, data: Uint8Array, small = data.length > 0 && data.length <= 4): Buffer {
    if (small)
      return Buffer.concat([
        this.numbers(4, [(data.length << 16) | type]),
        data,
        Buffer.alloc(4 - data.length),
      ]);
    const padding = type === compressed ? 0 : -data.length & 7;
    return Buffer.concat([this.numbers(4, [type, data.length]), data, Buffer.alloc(padding)]);
  }

  array(arrayClass: number, dims: number[], name: string, ...parts: Buffer[]): Buffer {
    const head = [
      this.element(uint32, this.numbers(4, [arrayClass, 0])),
      this.element(int32, this.numbers(4, dims)),
      this.element(int8, Buffer.from(name)),
    ];
    return this.element(matrix, Buffer.concat([...head, ...parts]), false);
  }

  file(...variables: Buffer[]): Buffer {
    const header = Buffer.concat([Buffer.alloc(124, ' '), this.numbers(2, [0x100, 0x4d49])]);
    return Buffer.concat([header, ...variables]);
  }

  compress(variable: Buffer): Buffer {
    return this.element(compressed, deflateSync(variable, { level: 1 }), false);
  }

  text(type: number, data: Buffer, dims: number[]): Buffer {
    return this.array(4, dims, 't', this.element(type, data));
  }

  /** Annotations as in cars_annos.mat, with an empty value among them. */
  annotations(): Buffer {
    const names = Buffer.from(['relative_im_path', 'class'].map((name) => name.padEnd(32, '\0')).join(''));
    const values = ['a.jpg', 'b.jpg', 'c.jpg'].flatMap((path, i) => [
      this.array(4, [1, path.length], '', this.element(uint16, this.numbers(2, [...Buffer.from(path)]))),
      i === 1
        ? this.element(matrix, Buffer.alloc(0))
        : this.array(
            6,
            [1, 1],
            '',
            this.element(i === 0 ? uint8 : double, this.numbers(i === 0 ? 1 : 8, [i + 1])),
          ),
    ]);
    const fields = [this.element(int32, this.numbers(4, [32])), this.element(int8, names)];
    return this.array(2, [1, 3], 'annotations', ...fields, ...values);
  }
}

const orders: [string, Writer][] = [
  ['little-endian', new Writer(true)],
  ['big-endian', new Writer(false)],
];

const textOf = (bytes: Buffer) => {
  const value = parseMatlab(bytes).get('t');
  if (value?.kind !== 'char') throw new Error('expected text');
  return value.rows;
};

describe.each(orders)('a %s file', (_, writer) => {
  it('has its struct arrays read, raw and compressed', () => {
    for (const variable of [writer.annotations(), writer.compress(writer.annotations())]) {
      const annotations = parseMatlab(writer.file(variable)).get('annotations');
      if (annotations?.kind !== 'struct') throw new Error('expected a struct array');
      const paths = annotations.fields.get('relative_im_path');
      expect(paths?.map((value) => value.kind === 'char' && value.rows[0])).toEqual([
        'a.jpg',
        'b.jpg',
        'c.jpg',
      ]);
      const classes = annotations.fields.get('class');
      expect(classes?.map((value) => value.kind === 'numeric' && value.values[0])).toEqual([1, undefined, 3]);
    }
  });

  it('has its text read in all encodings', () => {
    const text = 'é–😀'; // two bytes, three bytes, and a surrogate pair
    const units = Array.from(text, (_unit, i) => i).length;
    const codes = text.split('').map((unit) => unit.charCodeAt(0));
    const points = Array.from(text, (point) => point.codePointAt(0) ?? 0);
    for (const type of [uint16, utf16])
      expect(textOf(writer.file(writer.text(type, writer.numbers(2, codes), [1, codes.length])))).toEqual([
        text,
      ]);
    expect(textOf(writer.file(writer.text(utf8, Buffer.from(text), [1, units])))).toEqual([text]);
    expect(textOf(writer.file(writer.text(utf32, writer.numbers(4, points), [1, units])))).toEqual([text]);
    expect(textOf(writer.file(writer.text(uint8, Buffer.from('é', 'latin1'), [1, 1])))).toEqual(['é']);
    // Column by column; dimensions in UTF-16 units (MATLAB) or in characters (SciPy).
    expect(textOf(writer.file(writer.text(utf8, Buffer.from('aébc'), [2, 2])))).toEqual(['ab', 'éc']);
    expect(textOf(writer.file(writer.text(utf8, Buffer.from('a😀bc'), [2, 2])))).toEqual(['ab', '😀c']);
  });
});

describe('a file that is wrong', () => {
  const writer = new Writer(true);
  const doubles = (values: number[]) => writer.element(double, writer.numbers(8, values));
  const file = (...variables: Buffer[]) => writer.file(...variables);
  let nested = writer.array(6, [1, 1], '', doubles([1]));
  for (let depth = 0; depth < 70; depth++) nested = writer.array(1, [1, 1], '', nested);

  it.each<[string, Buffer, RegExp]>([
    ['too few numbers', file(writer.array(6, [1, 3], 'x', doubles([1]))), /"x" has 1 numbers, expected 3/],
    ['a sea of numbers', file(writer.array(6, [65536, 65536], 'x', doubles([1]))), /expected 4294967296/],
    ['more than numbers can count', file(writer.array(6, [2 ** 31 - 1, 2 ** 31 - 1], 'x')), /claims to be/],
    ['a sea of cells', file(writer.array(1, [65536, 32767], 'x')), /claims 2147418112 arrays/],
    ['negative dimensions', file(writer.array(6, [1, 2 ** 32 - 1], 'x', doubles([1]))), /dimensions .* 1×-1/],
    ['one dimension', file(writer.array(6, [1], 'x', doubles([1]))), /2 to 32 dimensions/],
    ['an unknown class', file(writer.array(99, [1, 1], 'x', doubles([1]))), /unknown class 99/],
    ['no data', file(writer.array(6, [1, 1], 'x')), /cut short/],
    ['nesting without end', file(nested), /nested more than 64 deep/],
    ['text of no character set', file(writer.text(utf8, Buffer.from([0xff]), [1, 1])), /not UTF-8/],
    [
      'a character that is none',
      file(writer.text(utf32, writer.numbers(4, [0x110000]), [1, 1])),
      /which is none/,
    ],
    ['half a UTF-16 unit', file(writer.text(utf16, Buffer.from('abc'), [1, 1])), /not a multiple of 2/],
    ['text of numbers', file(writer.text(double, writer.numbers(8, [1]), [1, 1])), /expected text/],
    [
      'a variable that is no array',
      file(writer.element(double, writer.numbers(8, [1]))),
      /expected an array/,
    ],
    ['compression twice', file(writer.compress(writer.compress(writer.annotations()))), /expected an array/],
    ['a stream that is none', file(writer.element(compressed, Buffer.alloc(20))), /cannot be decompressed/],
  ])('%s', (_, bytes, message) => {
    expect(() => parseMatlab(bytes)).toThrow(MatlabError);
    expect(() => parseMatlab(bytes)).toThrow(message);
  });

  it('what is not read is named, and does not hide the rest', () => {
    const sparse = writer.array(5, [2, 2], 's', doubles([1]));
    const opaque = writer.element(matrix, writer.element(uint32, writer.numbers(4, [17, 0])));
    const variables = parseMatlab(file(sparse, opaque, writer.annotations()));
    expect(variables.get('s')).toMatchObject({ kind: 'other', className: 'sparse matrix' });
    expect(variables.get('annotations')?.kind).toBe('struct');
  });

  it('damaged at random, inside its compression and out, gives a value or a MatlabError, soon', () => {
    const seeds = orders.flatMap(([, each]) => [
      { writer: each, variable: each.annotations() },
      { writer: each, variable: each.text(utf8, Buffer.from('aébc'), [2, 2]) },
      { writer: each, variable: each.array(1, [1, 2], 'c', each.annotations(), each.annotations()) },
    ]);
    const others = seeds.map(({ variable }) => variable);
    const mutations = new Mutations(7);
    const ended = { accepted: 0, refused: 0 };
    let slowest = 0;
    for (let i = 0; i < 6000; i++) {
      const seed = mutations.pick(seeds);
      const damaged = mutations.damage(seed.variable, others);
      const bytes = seed.writer.file(mutations.int(2) === 0 ? damaged : seed.writer.compress(damaged));
      const before = process.cpuUsage();
      try {
        parseMatlab(bytes);
        ended.accepted++;
      } catch (error) {
        if (!(error instanceof MatlabError)) throw error;
        expect(error.message).not.toMatch(/[\n\0]/);
        ended.refused++;
      }
      const { user, system } = process.cpuUsage(before);
      slowest = Math.max(slowest, user + system);
    }
    expect(ended.accepted).toBeGreaterThan(300);
    expect(ended.refused).toBeGreaterThan(2000);
    expect(slowest / 1000).toBeLessThan(500);
  });
});
