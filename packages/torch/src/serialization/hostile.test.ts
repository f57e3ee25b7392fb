import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import { archive, fuzzPth, fuzzSafetensors } from '../testing/hostile-files.js';
import { readPickle, readPth } from './pth.js';
import { readSafetensors } from './safetensors.js';
import { SerializationError } from './serialization-error.js';

const MIB = 1024 * 1024;
const folder = temporaryFolder();

function write(bytes: Uint8Array): string {
  const path = join(folder, 'input');
  // A new file each time: writing over one makes some file systems wait for the disk.
  rmSync(path, { force: true });
  writeFileSync(path, bytes);
  return path;
}

const pth = (...pickle: (string | Uint8Array)[]) =>
  write(
    archive([
      {
        name: 'archive/data.pkl',
        bytes: Buffer.concat(pickle.map((part) => Buffer.from(part as string, 'latin1'))),
      },
      { name: 'archive/data/0', bytes: Buffer.alloc(16) },
    ]),
  );

/** The highest resident memory since the last reset, bytes. Linux keeps it. */
function peak(): number {
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024;
}

describe('damaged files end in a result or a clean error', () => {
  it('safetensors', async () => {
    const report = await fuzzSafetensors(3000, 1);
    expect(report.accepted).toBeGreaterThan(50);
    expect(report.refused).toBeGreaterThan(1500);
    expect(report.milliseconds).toBeLessThan(2000);
  });

  it('.pth', async () => {
    const report = await fuzzPth(3000, 2);
    expect(report.accepted).toBeGreaterThan(50);
    expect(report.refused).toBeGreaterThan(1500);
    expect(report.milliseconds).toBeLessThan(2000);
  });
});

describe('a pickle', () => {
  const float = '((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ';
  const tensor = (rest: string) => `\x80\x02ctorch._utils\n_rebuild_tensor_v2\n${float}${rest}\x89}tR.`;

  it('gives a tensor where all is well', () => {
    expect(readPickle(pth(tensor('K\x00K\x02K\x02\x86K\x02K\x01\x86')))).toMatchObject({ shape: [2, 2] });
  });

  it.each<[string, string, RegExp]>([
    ['runs a command', 'cposix\nsystem\nX\x04\0\0\0true\x85R.', /refused to load posix\.system:/],
    ['runs a command, by the stack', '\x8c\x02os\x8c\x06system\x93.', /refused to load os\.system:/],
    ['hides a name in control characters', 'cos\x1b[2J\nsystem\n.', /refused to load os\\u001b\[2J\.system:/],
    ['evaluates', 'cbuiltins\neval\n.', /refused to load builtins\.eval:/],
    ['instantiates the old way', '(ios\nsystem\n.', /refused the opcode 0x69/],
    ['uses the extension registry', '\x82\x01.', /refused the opcode 0x82/],
    ['calls a dictionary', '})R.', /refused to call something/],
    ['calls a storage class', 'ctorch\nFloatStorage\n)R.', /refused to call something/],
    ['sets the state of a list', ']}b.', /refused to set the state/],
    ['takes from an empty stack', 'aaa.', /takes more from its stack/],
    ['takes from below its mark', ']](a.', /takes more from its stack/],
    ['closes no mark', ']u.', /closes a mark/],
    ['recalls nothing', 'h\x05.', /recalls number 5/],
    ['keys a dictionary by a dictionary', '}}Ns.', /a key or set element/],
    ['claims a string of 2^63 bytes', '\x8d\0\0\0\0\0\0\0\x80abc.', /cut short/],
    ['claims an integer of 2^31 bytes', '\x8b\xff\xff\xff\x7f\x01.', /an integer has 2147483647 bytes/],
    [
      'calls with arguments by name',
      `ccollections\nOrderedDict\n)}${'X\x01\0\0\0aNs'}\x92.`,
      /arguments by name/,
    ],
    [
      'makes a Counter of text',
      'ccollections\nCounter\nX\x01\0\0\0a\x85R.',
      /a dictionary can only be made of/,
    ],
    ['makes a device of a list', 'ctorch\ndevice\n]\x85R.', /the kind of a device/],
    ['makes a complex number of text', 'cbuiltins\ncomplex\nX\x01\0\0\0a\x85R.', /complex number/],
    ['never stops', ']]]', /cut short at byte 3/],
    ['names a class without end', 'ctorch', /cut short/],
    ['reads outside its storage', tensor('K\x01K\x04\x85K\x01\x85'), /out of the bounds of storage 0/],
    ['strides outside its storage', tensor('K\x00K\x02K\x02\x86K\x03K\x01\x86'), /out of the bounds/],
    ['strides backward', tensor('K\x00K\x02\x85J\xff\xff\xff\xff\x85'), /strides of a tensor must be/],
    ['has a negative size', tensor('K\x00J\xff\xff\xff\xff\x85K\x01\x85'), /shape of a tensor must be/],
    ['has a stride too many', tensor('K\x00K\x02\x85K\x01K\x01\x86'), /as many strides as sizes/],
    ['unfolds one number to 2^40', tensor('K\x00\x8a\x06\0\0\0\0\0\x01\x85K\x00\x85'), /ten times its size/],
    [
      'unfolds past 2^53',
      tensor('K\x00\x8a\x06\0\0\0\0\0\x01\x8a\x06\0\0\0\0\0\x01\x86K\x00K\x00\x86'),
      /out of the bounds/,
    ],
  ])('that %s is refused', (_, pickle, message) => {
    const path = pth(pickle);
    expect(() => readPickle(path)).toThrow(SerializationError);
    expect(() => readPickle(path)).toThrow(message);
  });

  it('nested two hundred thousand deep is read', () => {
    let level = readPickle(pth(')', Buffer.alloc(200_000, 0x85), '.')) as unknown[];
    for (let depth = 0; depth < 200_000; depth++) level = level[0] as unknown[];
    expect(level).toEqual([]);
  });

  it('nested as deep inside a key is no state dict', () => {
    const path = pth('})', Buffer.alloc(200_000, 0x85), 'Ns.');
    expect(() => readPth(path)).toThrow(/its entry of a list is None/);
  });

  it('that contains itself is read', () => {
    const list = readPickle(pth(']q\x00h\x00a}q\x01K\x01h\x01sa.')) as unknown[];
    expect(list[0]).toBe(list);
    expect((list[1] as Map<unknown, unknown>).get(1)).toBe(list[1]);
  });
});

describe('an archive', () => {
  const whole = archive([
    { name: 'archive/data.pkl', bytes: Buffer.from('N.') },
    { name: 'archive/data/0', bytes: Buffer.alloc(1000, 7) },
  ]);
  const damaged = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(whole);
    change(bytes);
    return write(bytes);
  };
  const directory = whole.readUInt32LE(whole.length - 6);
  const second = directory + 46 + 'archive/data.pkl'.length;

  it('is read where all is well', () => {
    expect(readPickle(write(whole))).toBe(null);
  });

  it.each<[string, (bytes: Buffer) => void, RegExp]>([
    [
      'with a flipped byte in the pickle',
      (b) => b.writeUInt8(0x88, b.indexOf('N.')),
      /"archive\/data.pkl" has a wrong checksum/,
    ],
    ['whose entries overlap', (b) => b.writeUInt32LE(0, second + 42), /overlaps/],
    ['whose entry is out of place', (b) => b.writeUInt32LE(3, second + 42), /out of place|overlaps/],
    [
      'whose entry runs into the directory',
      (b) => b.fill(0x0f, second + 21, second + 22).fill(0x0f, second + 25, second + 26),
      /runs into/,
    ],
    ['that claims many entries', (b) => b.writeUInt16LE(60_000, b.length - 12), /60000 entries do not fit/],
    [
      'whose directory is out of bounds',
      (b) => b.writeUInt32LE(0x7fffffff, b.length - 6),
      /directory is out of bounds/,
    ],
    [
      'that lacks its zip64 part',
      (b) => b.writeUInt32LE(0xffffffff, b.length - 6),
      /zip64 locator is missing/,
    ],
    [
      'with a compressed pickle',
      (b) => b.writeUInt16LE(8, directory + 10),
      /"archive\/data.pkl" is compressed/,
    ],
    [
      'with an encrypted pickle',
      (b) => b.writeUInt16LE(1, directory + 8),
      /"archive\/data.pkl" is encrypted/,
    ],
  ])('%s is refused', (_, change, message) => {
    const path = damaged(change);
    expect(() => readPickle(path)).toThrow(SerializationError);
    expect(() => readPickle(path)).toThrow(message);
  });

  it('cut short anywhere is refused', () => {
    for (let length = 0; length < whole.length; length += 7) {
      const path = write(whole.subarray(0, length));
      expect(() => readPth(path), `${length} bytes`).toThrow(SerializationError);
    }
  });
});

// Each of these would take gigabytes, or hours, if it were believed.
describe.runIf(existsSync('/proc/self/clear_refs'))('what is made to exhaust memory or time', () => {
  const repeat = (pattern: string, size: number) => {
    const bytes = Buffer.alloc(size - (size % pattern.length));
    bytes.fill(pattern, 'latin1');
    return bytes;
  };
  const size = 2 * MIB;
  const safetensors = (header: Buffer) => {
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(header.length));
    return write(Buffer.concat([head, header]));
  };
  let number = 0;
  const manyKeys = (entry: (key: string) => string) => {
    let text = '';
    while (text.length < size) text += `${text === '' ? '' : ','}${entry(`"${(number++).toString(36)}"`)}`;
    return Buffer.from(text);
  };
  const bombs: [string, () => string, (path: string) => unknown][] = [
    ['dictionaries', () => pth(repeat('}', size), '.'), readPickle],
    ['sets', () => pth(repeat('\x8f', size), '.'), readPickle],
    ['lists', () => pth(repeat(']', size), '.'), readPickle],
    ['marks', () => pth(repeat('(', size), '.'), readPickle],
    ['tuples in tuples', () => pth(')', repeat('\x85', size), '.'), readPickle],
    ['references', () => pth('N', repeat('2', 2 * size), '.'), readPickle],
    ['memo entries', () => pth('N', repeat('\x94', size), '.'), readPickle],
    ['empty strings', () => pth(repeat('\x8c\0', size), '.'), readPickle],
    [
      'copies of a long list',
      () => pth(']q\0(', repeat('N', size / 4), 'e', repeat('ctorch\nSize\nh\0\x85R0', size / 2), '.'),
      readPickle,
    ],
    [
      'objects of many classes',
      () =>
        pth(
          manyKeys((k) => k)
            .toString('latin1')
            .replace(/"(\w+)",?/g, 'c$1\nx\n'),
          '.',
        ),
      readPickle,
    ],
    ['an object called again and again', () => pth('cx\ny\nq\0', repeat('h\0)R', size), '.'), readPickle],
    [
      'copies of a long text',
      () =>
        pth(
          'X',
          Uint8Array.of(0, 0, 16, 0),
          repeat('x', MIB),
          'q\0X\x06\0\0\0latin1q\x010',
          repeat('c_codecs\nencode\nh\0h\x01\x86R0', size),
          '.',
        ),
      readPickle,
    ],
    [
      'metadata',
      () =>
        safetensors(
          Buffer.concat([Buffer.from('{"__metadata__":{'), manyKeys((k) => `${k}:""`), Buffer.from('}}')]),
        ),
      readSafetensors,
    ],
    [
      'empty tensors',
      () =>
        safetensors(
          Buffer.concat([
            Buffer.from('{'),
            manyKeys((k) => `${k}:{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`),
            Buffer.from('}'),
          ]),
        ),
      readSafetensors,
    ],
    [
      'nested JSON',
      () => safetensors(Buffer.concat([Buffer.from('{"a":'), repeat('[', size)])),
      readSafetensors,
    ],
    [
      'nested JSON in a field that is passed over',
      () => safetensors(Buffer.concat([Buffer.from('{"a":{"x":'), repeat('[', size)])),
      readSafetensors,
    ],
    [
      'a long field that is passed over',
      () => safetensors(Buffer.concat([Buffer.from('{"a":{"x":['), repeat('{"":0},', size)])),
      readSafetensors,
    ],
    ['spaces', () => safetensors(Buffer.concat([Buffer.from('{'), repeat(' ', size)])), readSafetensors],
    [
      'backslashes',
      () => safetensors(Buffer.concat([Buffer.from('{"'), repeat('\\\\', size)])),
      readSafetensors,
    ],
  ];
  it.each(bombs)('%s', (_, make, read) => {
    const path = make();
    const start = process.cpuUsage();
    writeFileSync('/proc/self/clear_refs', '5');
    const before = peak();
    expect(() => read(path)).toThrow(SerializationError);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(2000);
    // Ten times the file, the budget's floor, and what the garbage collector has not yet come to.
    expect(peak() - before).toBeLessThan(10 * statSync(path).size + 16 * MIB + 48 * MIB);
  });
});
