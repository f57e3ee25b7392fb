import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import { type DType, liveTensors, scope, type Tensor, tensor, zeros } from '../index.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';
import { SerializationError } from './serialization-error.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

const TAGS: [DType, string][] = [
  ['uint8', 'U8'],
  ['bool', 'BOOL'],
  ['int8', 'I8'],
  ['int16', 'I16'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['int32', 'I32'],
  ['float32', 'F32'],
  ['int64', 'I64'],
  ['float64', 'F64'],
];

const values = [1, 0, 1, 1, 0, 1];
const signed = [-1.5, 2, 3.25, -4, 5, 6];

function ofEveryDType(): Map<string, Tensor> {
  const tensors = new Map(
    TAGS.map(([dtype, tag]) => [
      `${tag} é"\n`,
      tensor(dtype === 'bool' || dtype === 'uint8' ? values : signed, { dtype }).reshape([2, 3]),
    ]),
  );
  tensors.set('scalar', tensor(2.5));
  tensors.set('empty', tensor(new Float32Array(), { shape: [0, 7] }));
  tensors.set('__proto__', tensor(signed, { shape: [2, 3] }).t());
  tensors.set('7', tensor([7]));
  return tensors;
}

function plain(tensors: Map<string, Tensor>) {
  return [...tensors].map(([name, t]) => ({
    name,
    dtype: t.dtype,
    shape: t.shape,
    values: [...t.toNumbers()],
  }));
}

/** A file with this header and this many bytes of data, each byte its index. */
function file(header: unknown, dataBytes: number, length?: bigint): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = at('made.safetensors');
  writeFileSync(
    path,
    Buffer.concat([head, json, Buffer.from(Array.from({ length: dataBytes }, (_, i) => i))]),
  );
  return path;
}

describe('writeSafetensors and readSafetensors', () => {
  it('bring back every dtype, in order, with the metadata', () => {
    const tensors = ofEveryDType();
    const metadata = { format: 'pt', note: 'ü "quoted"', __proto: '' };
    writeSafetensors(at('all.safetensors'), tensors, metadata);
    const before = liveTensors();
    scope(() => {
      const read = readSafetensors(at('all.safetensors'));
      expect(plain(read.tensors)).toEqual(plain(tensors));
      expect(read.metadata).toEqual(metadata);
      for (const t of read.tensors.values()) expect(t.requiresGrad).toBe(false);
    });
    expect(liveTensors()).toBe(before);
  });

  it("write in the order of the format's own library", () => {
    const dtypes: DType[] = [
      'bool',
      'uint8',
      'int8',
      'int16',
      'float16',
      'bfloat16',
      'int32',
      'float32',
      'float64',
      'int64',
    ];
    const names = ['b', '\u{1f600}', 'Z', '\uffee', 'a', 'é'];
    scope(() => {
      const tensors = names.flatMap((name) =>
        dtypes.map((dtype) => [`${name} ${dtype}`, zeros([1], { dtype })] as const),
      );
      writeSafetensors(at('order.safetensors'), new Map(tensors));
      // As safetensors 0.8 wrote them, in Python.
      const order = dtypes
        .toReversed()
        .flatMap((dtype) => ['Z', 'a', 'b', 'é', '\uffee', '\u{1f600}'].map((name) => `${name} ${dtype}`));
      const bytes = readFileSync(at('order.safetensors'));
      const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()))) as Record<
        string,
        { data_offsets: [number, number] }
      >;
      const written = Object.entries(header).sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
      expect(written.map(([name]) => name)).toEqual(order);
    });
  });

  it('bring back nothing', () => {
    writeSafetensors(at('none.safetensors'), new Map());
    expect(readSafetensors(at('none.safetensors'))).toEqual({ tensors: new Map(), metadata: {} });
    expect(readFileSync(at('none.safetensors')).length).toBe(64);
  });

  it('leave the former file, and no other, where the new one cannot be written', () => {
    const path = at('kept.safetensors');
    writeSafetensors(path, new Map([['a', tensor([1, 2])]]));
    const disposed = tensor([1]);
    const good = tensor([3]);
    expect(() => writeSafetensors(path, new Map([['__metadata__', good]]))).toThrow(SerializationError);
    expect(() => writeSafetensors(path, new Map([['c', good.to({ dtype: 'complex64' })]]))).toThrow(
      /tensor "c" is complex64/,
    );
    disposed.dispose();
    expect(() => writeSafetensors(path, new Map([['a', disposed]]))).toThrow();
    expect(readSafetensors(path).tensors.get('a')?.tolist()).toEqual([1, 2]);
    expect(() => writeSafetensors(join(folder, 'nowhere', 'x'), new Map())).toThrow(SerializationError);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('readSafetensors', () => {
  it('reads what other writers may write: order, spaces, escapes', () => {
    const header =
      ' { "b" : {"data_offsets":[0,2],"shape":[2],"dtype":"U8"},\n\t"\\u0061":{"dtype":"BOOL","shape":[2],"data_offsets":[2,4]}} ';
    const { tensors } = readSafetensors(file(header.trimStart(), 4));
    expect(tensors.get('b')?.tolist()).toEqual([0, 1]);
    // Bytes 2 and 3: true.
    expect(tensors.get('a')?.toTypedArray()).toEqual(Uint8Array.of(1, 1));
  });

  it('passes over what it does not know, and of a name given twice takes the last', () => {
    const entry = (dtype: string, more = '') =>
      `"a":{${more}"dtype":"${dtype}","shape":[2],"data_offsets":[0,2]}`;
    const more = String.raw`"x":[1e5,-0.5,{"b":[null,true,false],"c":{}},[],"]}\""],"x":{},`;
    const { tensors, metadata } = readSafetensors(
      file(
        `\n {"__metadata__":{"a":"1","a":"2","n":3,"d":{"e":[1]}},${entry('U8')},${entry('I8', more)}} `,
        2,
      ),
    );
    expect([...tensors.keys()]).toEqual(['a']);
    expect([tensors.get('a')?.dtype, tensors.get('a')?.tolist()]).toEqual(['int8', [0, 1]]);
    expect(metadata).toEqual({ a: '2', n: '3', d: '{"e":[1]}' });
    expect(readSafetensors(file('{"__metadata__":null}', 0))).toEqual({ tensors: new Map(), metadata: {} });
  });

  const u8 = (start: number, end: number, shape = [end - start]) => ({
    dtype: 'U8',
    shape,
    data_offsets: [start, end],
  });
  it.each<[string, unknown, number, bigint | undefined, RegExp]>([
    [
      'a header longer than the file',
      {},
      0,
      1000n,
      /header says it is 1000 bytes long, but it can be at most 2/,
    ],
    ['an absurd header', {}, 0, 2n ** 64n - 1n, /header says it is 18446744073709552000 bytes long/],
    ['another format', 'PK', 100, undefined, /does not start with '{'/],
    ['text that is not UTF-8', '{}', 10, 5n, /header: expected the end at character 2/],
    ['a header that ends early', '{"a":', 0, undefined, /expected "{" at character 5, found the end/],
    ['a header that goes on', '{}}', 0, undefined, /expected the end at character 2, found "}"/],
    [
      'a gap',
      { a: u8(0, 2), b: u8(3, 4) },
      4,
      undefined,
      /tensor "b" starts at byte 3 of the data, expected 2/,
    ],
    [
      'an overlap',
      { a: u8(0, 2), b: u8(1, 3) },
      3,
      undefined,
      /tensor "b" starts at byte 1 of the data, expected 2/,
    ],
    [
      'data cut short',
      { a: u8(0, 5) },
      4,
      undefined,
      /tensor "a" ends at byte 5 of the data, which has only 4/,
    ],
    ['more data than tensors', { a: u8(0, 3) }, 4, undefined, /take 3 bytes of data, but the file holds 4/],
    [
      'a shape against its offsets',
      { a: u8(0, 4, [5]) },
      4,
      undefined,
      /tensor "a" takes 5 bytes by its shape/,
    ],
    ['a backward range', { a: u8(4, 0, []) }, 4, undefined, /tensor "a" takes 1 bytes/],
    [
      'a shape that overflows',
      { a: u8(0, 0, [2 ** 40, 2 ** 40]) },
      0,
      undefined,
      /tensor "a" takes NaN bytes/,
    ],
    ['a hidden overflow', { a: u8(0, 0, [0, 2 ** 40, 2 ** 40]) }, 0, undefined, /tensor "a" takes NaN bytes/],
    [
      'an unsafe integer',
      '{"a":{"dtype":"U8","shape":[99999999999999999],"data_offsets":[0,0]}}',
      0,
      undefined,
      /over 2\^53/,
    ],
    [
      'a negative size',
      { a: u8(0, 1, [-1]) },
      1,
      undefined,
      /expected an integer of at least 0 at character \d+, found "-"/,
    ],
    ['a fraction', { a: u8(0, 1, [1.5]) }, 1, undefined, /expected "]"/],
    ['65 dimensions', { a: u8(0, 1, new Array(65).fill(1)) }, 1, undefined, /more than 64 numbers/],
    [
      'an unknown dtype',
      { a: { ...u8(0, 1), dtype: 'F9' } },
      1,
      undefined,
      /tensor "a" has the dtype "F9": expected one of F64, F32/,
    ],
    [
      'half bytes that make no whole one',
      { a: { ...u8(0, 2, [3]), dtype: 'F4' } },
      2,
      undefined,
      /tensor "a" takes 1.5 bytes/,
    ],
    ['4-bit floats', { a: { ...u8(0, 2, [4]), dtype: 'F4' } }, 2, undefined, /tensor "a" is float4, which/],
    [
      'a field twice',
      '{"a":{"dtype":"I8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      undefined,
      /tensor "a": the key "dtype" appears twice/,
    ],
    ['metadata twice', '{"__metadata__":{},"__metadata__":{}}', 0, undefined, /"__metadata__" appears twice/],
    [
      'a repeated tensor whose last form leaves a part out',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      2,
      undefined,
      /take 1 bytes of data, but the file holds 2/,
    ],
    ['a number that begins with 0', '{"a":{"dtype":"U8","shape":[01]', 0, undefined, /begins with 0/],
    ['half a character', '{"\\ud800":1}', 0, undefined, /the string at character 1 is not valid JSON/],
    [
      'an unknown field that is no JSON',
      '{"a":{"code":[1,}]}}',
      0,
      undefined,
      /expected a value at character 16, found "}"/,
    ],
    [
      'an unknown field without end',
      '{"a":{"code":{"b":[1,2',
      0,
      undefined,
      /expected "\]" at character 22, found the end/,
    ],
    [
      'an unknown field that is nested too deep',
      `{"a":{"code":${'['.repeat(200)}${']'.repeat(200)}}}`,
      0,
      undefined,
      /nested deeper than 127/,
    ],
    [
      'a missing field',
      { a: { dtype: 'U8', shape: [] } },
      1,
      undefined,
      /tensor "a" needs a dtype, a shape and two/,
    ],
    ['a bad escape', '{"\\x":1}', 0, undefined, /the string at character 1 is not valid JSON/],
    ['a string without end', '{"a', 0, undefined, /not valid JSON/],
  ])('refuses %s', (_, header, bytes, length, message) => {
    const path = file(header, bytes, length);
    expect(() => readSafetensors(path)).toThrow(SerializationError);
    expect(() => readSafetensors(path)).toThrow(message);
    expect(() => readSafetensors(path)).toThrow(path);
  });

  it('refuses files too small, folders and pipes', () => {
    writeFileSync(at('tiny'), '12345678');
    expect(() => readSafetensors(at('tiny'))).toThrow(/found 8 bytes: too few for a header/);
    expect(() => readSafetensors(folder)).toThrow(/found a folder or device/);
    expect(() => readSafetensors('/dev/zero')).toThrow(/found a folder or device/);
    expect(() => readSafetensors(at('missing'))).toThrow(/ENOENT/);
  });
});

// The peer is written out by hand, after the format's description: its own package is not in Debian.
describeWithPython('safetensors in Python', ['numpy', 'torch'], () => {
  it('agrees in both directions', () => {
    const tensors = ofEveryDType();
    writeSafetensors(at('ours.safetensors'), tensors, { format: 'pt' });
    const result = runPython<{ tensors: unknown; metadata: unknown; start: number }>(
      `
      import json, struct, torch
      types = {'U8': torch.uint8, 'BOOL': torch.bool, 'I8': torch.int8, 'I16': torch.int16, 'F16': torch.float16,
               'BF16': torch.bfloat16, 'I32': torch.int32, 'F32': torch.float32, 'I64': torch.int64, 'F64': torch.float64}
      with open(input + '/ours.safetensors', 'rb') as f: data = f.read()
      n, = struct.unpack('<Q', data[:8])
      header = json.loads(data[8:8 + n])
      metadata = header.pop('__metadata__')
      body = bytearray(data[8 + n:])
      read, covered = {}, 0
      for name, t in sorted(header.items(), key=lambda item: item[1]['data_offsets']):
          start, end = t['data_offsets']
          assert start == covered, name
          covered = end
          dtype = types[t['dtype']]
          assert start % torch.tensor([], dtype=dtype).element_size() == 0, name
          read[name] = torch.frombuffer(body[start:end], dtype=dtype).reshape(t['shape']) if end > start else torch.empty(t['shape'], dtype=dtype)
      assert covered == len(body)
      head, parts, at = {'__metadata__': {'from': 'python'}}, [], 0
      tags = {dtype: tag for tag, dtype in types.items()}
      for name in header:
          t = read[name]
          raw = bytes(t.contiguous().view(-1).view(torch.uint8).numpy()) if t.numel() else b''
          head[name] = {'dtype': tags[t.dtype], 'shape': list(t.shape), 'data_offsets': [at, at + len(raw)]}
          parts.append(raw)
          at += len(raw)
      text = json.dumps(head).encode()
      with open(input + '/theirs.safetensors', 'wb') as f: f.write(struct.pack('<Q', len(text)) + text + b''.join(parts))
      output = {'metadata': metadata, 'start': 8 + n, 'tensors': [
          {'name': name, 'dtype': str(read[name].dtype)[6:], 'shape': list(read[name].shape), 'values': read[name].double().flatten().tolist()}
          for name in header]}
      `,
      folder,
    );
    expect(result.metadata).toEqual({ format: 'pt' });
    expect(result.start % 64).toBe(0);
    expect(result.tensors).toEqual(plain(tensors));
    const theirs = readSafetensors(at('theirs.safetensors'));
    expect(theirs.metadata).toEqual({ from: 'python' });
    expect(plain(theirs.tensors)).toEqual(plain(tensors));
  });
});

describe('a file with a checksum', () => {
  const path = at('summed.safetensors');
  const write = () =>
    writeSafetensors(path, ofEveryDType(), { note: '"crc32":"00000000"' }, { checksum: true });

  it('is read as any other', () => {
    write();
    const { tensors, metadata } = readSafetensors(path);
    expect(plain(tensors)).toHaveLength(ofEveryDType().size);
    expect(metadata).toEqual({ crc32: expect.stringMatching(/^[0-9a-f]{8}$/), note: '"crc32":"00000000"' });
  });

  it('is refused when one bit of it has changed, or its end is gone', () => {
    write();
    const whole = readFileSync(path);
    const unprotected: number[] = [];
    for (let byte = 0; byte < whole.length; byte += byte < 64 ? 1 : 5) {
      const damaged = Buffer.from(whole);
      damaged[byte]! ^= 1 << (byte % 8);
      writeFileSync(path, damaged);
      const before = liveTensors();
      try {
        // Only the name of the entry itself can hide it: whoever relies on it asks for the entry.
        if (!('crc32' in readSafetensors(path).metadata)) unprotected.push(byte);
        else expect.fail(`byte ${byte}`);
      } catch (error) {
        expect(error).toBeInstanceOf(SerializationError);
        expect(liveTensors()).toBe(before);
      }
    }
    expect(unprotected.length).toBeLessThanOrEqual('crc32'.length);
    for (const length of [0, 9, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      expect(() => readSafetensors(path)).toThrow(SerializationError);
    }
  });
});
