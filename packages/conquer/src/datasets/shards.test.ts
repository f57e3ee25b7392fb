import { createHash } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { decodeImages, ImageFiles, imageSizes, partOfFile } from '@conquer-dml/image';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type TarEntry, tarEntry, writeTar } from '../testing/tar-file.js';
import type { Dataset } from './dataset.js';
import { foundImages } from './found-images.js';
import { openDataset } from './open.js';
import { photosDataset } from './photos-dataset.js';
import { tarMembers } from './tar-members.js';

const asWritten = fileURLToPath(new URL('../testing/shards-as-written', import.meta.url));
const asRead = JSON.parse(readFileSync(join(asWritten, 'as-read.json'), 'utf8')) as {
  tar: [key: string, cls: string, name: string, sha256: string][];
  parquet: [name: string, sha256: string][];
};

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  vi.stubEnv('CONQUER_CACHE', join(folder, 'cache'));
});

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** All images of a data set with the names of their classes. */
const imagesOf = ({ train, test }: Dataset) =>
  [train, test].flatMap((split) =>
    split.paths.map((path, i) => ({ path, name: split.classNames[split.labels[i]!]! })),
  );

function bytesAt(path: string): Buffer {
  const { path: file, offset, length } = partOfFile(path)!;
  return readFileSync(file).subarray(offset, offset + length);
}

async function pixelsOf(images: readonly (string | Uint8Array)[]): Promise<string[]> {
  const bytes = 24 * 18 * 3;
  const out = new Uint8Array(images.length * bytes);
  const size = { width: 24, height: 18 };
  await decodeImages(
    images.map((image) => ({ image, size })),
    out,
  );
  return images.map((_, i) => sha256(out.subarray(i * bytes, (i + 1) * bytes)));
}

const sample = (key: string, label = 'a'): TarEntry[] => [
  { name: `${key}.jpg`, data: `image ${key}` },
  { name: `${key}.cls`, data: label },
];

/** Two classes to train and two to test, two images of each. */
const eight = (prefix = '') =>
  ['a', 'b', 'c', 'd'].flatMap((label) => [1, 2].flatMap((n) => sample(`${prefix}${label}${n}`, label)));

const shard = (entries: readonly TarEntry[], name = 'shard.tar') => {
  const file = join(folder, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeTar(file, entries);
  return file;
};
const openTar = (path = folder, options: object = {}) =>
  openDataset('webdataset', { folder: path, ...options });

describe('tar shards', () => {
  it('are read as webdataset wrote them and reads them, with a name longer than a header holds', async () => {
    for (const path of [asWritten, join(asWritten, 'trees-{00..01}.tar')]) {
      const images = imagesOf(await openTar(path));
      const expected = asRead.tar.map(([key, cls, , hash]) => [`${key}.jpg`, cls, hash]);
      const found = images.map(({ path, name }) => [
        /#(.*)&bytes/.exec(path)?.[1],
        name,
        sha256(bytesAt(path)),
      ]);
      expect(found.sort()).toEqual(expected.sort());
    }
    const named = imagesOf(await openTar(asWritten, { label: 'json.name' }));
    const classes = new Map(asRead.tar.map(([, , name, hash]) => [hash, name]));
    expect(named.map(({ name }) => name)).toEqual(
      named.map(({ path }) => classes.get(sha256(bytesAt(path)))),
    );
  });

  it('give the pixels of what lies in them, by the addon and by sharp', async () => {
    const { train } = await openTar(asWritten);
    const whole = train.paths.map((path) => bytesAt(path));
    expect(new Set(whole.map(sha256)).size).toBe(6);
    expect(await pixelsOf(train.paths)).toEqual(await pixelsOf(whole));
    const boxed = train.paths.map((path) => `${path}#xywh=2,3,5,7`);
    expect(await imageSizes(boxed)).toEqual(boxed.map(() => ({ width: 5, height: 7 })));
    // A PNG is none of the addon's.
    const png = readFileSync(join(asWritten, '../fuzz-seeds/rgb.png'));
    const file = shard([{ name: '1.png', data: png }, { name: '1.cls', data: 'x' }, ...eight()]);
    const { images } = await foundImages(file);
    const path = join(folder, images[0]!.path);
    expect(await imageSizes([path])).toEqual(await imageSizes([png]));
    expect(await pixelsOf([path])).toEqual(await pixelsOf([png]));
  });

  it('take pax and GNU long names, prefixes, folders between files, and leave out hidden files and samples without an image', async () => {
    const pax = (record: string) => {
      const length = record.length + 3;
      return `${length < 100 ? length : length + 1} ${record}`;
    };
    shard([
      { name: './d/', type: '5' },
      { name: 'PaxHeader', type: 'x', data: pax(`path=${'x'.repeat(120)}.jpg\n`) },
      { name: 'short.jpg', data: '1' },
      { name: '././@LongLink', type: 'L', data: `${'x'.repeat(120)}.cls\0` },
      { name: 'short.cls', data: ' a\n' },
      { name: '._a2.jpg', data: 'resource fork' },
      { name: '__meta__.json', data: '{}' },
      ...sample('./d/a2', 'a'),
      { name: 'text.txt', data: 'no image' },
      ...eight().slice(8),
      ...sample('b1', 'b'),
      ...sample('b2', 'b'),
    ]);
    const warnings: string[] = [];
    const dataset = await openTar(folder, { onWarning: (line: string) => warnings.push(line) });
    expect(dataset.train.classNames).toEqual(['a', 'b']);
    expect(dataset.train.paths.map((path) => bytesAt(path).toString())).toEqual([
      '1',
      'image ./d/a2',
      'image b1',
      'image b2',
    ]);
    expect(warnings).toEqual([`${folder}: 1 sample without an image left out`]);
  });

  it('are divided by the parts in their names, or else by classes, numbers in their order', async () => {
    for (const [name, labels] of Object.entries({
      'x-train-000.tar': '10 9',
      'val/1.tar': '2 3',
      'x-test.tar': '7 8',
    }))
      shard(
        labels.split(' ').flatMap((label) => [...sample(`${label}a`, label), ...sample(`${label}b`, label)]),
        name,
      );
    const { train, validation, test } = await openTar();
    expect([train, validation, test].map((split) => split?.classNames)).toEqual([
      ['9', '10'],
      ['2', '3'],
      ['7', '8'],
    ]);
    const anew = await openTar(folder, { split: 'random' });
    expect([...anew.train.classNames, ...anew.test.classNames].sort()).toEqual([
      '10',
      '2',
      '3',
      '7',
      '8',
      '9',
    ]);
    shard(
      [...sample('9c', '9'), ...sample('9d', '9'), ...sample('6', '6'), ...sample('6b', '6')],
      'x-test.tar',
    );
    await expect(openTar()).rejects.toThrow(/class is in .* for train and for test, the first is 9/);
  });

  it('keep where their images lie until a shard changes', async () => {
    const file = shard(eight());
    const stamp = new Date(1e12);
    utimesSync(file, stamp, stamp);
    const before = await openTar();
    // Of the same size and time: not read again.
    writeFileSync(file, Buffer.alloc(statSync(file).size));
    utimesSync(file, stamp, stamp);
    expect((await openTar()).train.paths).toEqual(before.train.paths);
    utimesSync(file, stamp, new Date(2e12));
    await expect(openTar()).rejects.toThrow(/found none|training/);
    shard([...eight(), ...sample('more', 'a')]);
    expect((await openTar()).train.paths).toHaveLength(before.train.paths.length + 1);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'cut short in a member',
      () => truncateSync(shard(eight()), 3000),
      /member a1\.cls|would end at byte|cut short/,
    ],
    [
      'cut short between members',
      () => truncateSync(shard(eight()), 2048),
      /shard\.tar: it ends at byte 2048 without the mark of its end: it was cut short/,
    ],
    ['empty', () => writeFileSync(join(folder, 'shard.tar'), ''), /shard\.tar: it is empty/],
    [
      'damaged',
      () => {
        const bytes = readFileSync(shard(eight()));
        bytes[1024 + 3]! ^= 1;
        writeFileSync(join(folder, 'shard.tar'), bytes);
      },
      /shard\.tar: there is no header of a member at byte 1024/,
    ],
    [
      'of a size that is none',
      () => shard([{ name: 'a.jpg', size: 'zz' }]),
      /shard\.tar: its member a\.jpg would end at/,
    ],
    [
      'packed under its name',
      () =>
        writeFileSync(
          join(folder, 'shard.tar'),
          Buffer.concat([gzipSync('x'.repeat(2000)), Buffer.alloc(600)]),
        ),
      /packed by gzip .*unpack it to a plain \.tar/,
    ],
    [
      'packed',
      () => writeFileSync(join(folder, 'shard.tar.gz'), ''),
      /shard\.tar\.gz: a shard that is packed .*plain \.tar/,
    ],
    [
      'of a key twice',
      () => shard([...sample('a1'), ...sample('b1'), ...sample('a1')]),
      /shard\.tar: the key a1 is there twice/,
    ],
    [
      'of a member twice',
      () => shard([...sample('a1'), { name: 'a1.jpg' }]),
      /its member a1\.jpg is there twice/,
    ],
    [
      'without a label',
      () => shard([...eight(), { name: 'z.jpg', data: 'z' }]),
      /shard\.tar: 1 image has no class, the first is .*z\.jpg.*data\.dataset\.label/,
    ],
    [
      'of several images',
      () => shard([{ name: 'a.left.jpg' }, { name: 'a.right.png' }]),
      /sample a has several images \(left\.jpg, right\.png\): .*data\.dataset\.image/,
    ],
    ['with a link', () => shard([{ name: 'a.jpg', type: '1' }]), /member a\.jpg is a link/],
    ['sparse', () => shard([{ name: 'a.jpg', type: 'S' }]), /member a\.jpg is sparse/],
    [
      'of JSON that is none',
      () => shard([{ name: 'a.jpg' }, { name: 'a.json', data: '{' }]),
      /a\.json: expected JSON/,
    ],
    ['not there', () => {}, /expected files with names that end in \.tar in it, found none/],
  ])('are refused in a line where one is %s', async (_, write, message) => {
    write();
    await expect(openTar()).rejects.toThrow(message);
    await expect(openTar()).rejects.toThrow(/^[^\n]*$/);
  });

  it('are refused where a pattern names one that is not there, or one twice', async () => {
    shard(eight(), 's-1.tar');
    await expect(openTar(join(folder, 's-{1..2}.tar'))).rejects.toThrow(
      /s-2\.tar: expected a shard, but there is no such file/,
    );
    await expect(openTar(join(folder, 's-{1,1}.tar'))).rejects.toThrow(/the same file as s-1\.tar/);
    await expect(openTar(join(folder, 's-{1..2.tar'))).rejects.toThrow(/expected each \{ to be closed/);
    await expect(openTar(join(folder, 'photos'))).rejects.toThrow(
      /expected a folder, a file with a name that ends in \.tar/,
    );
  });

  it('name an image that its shard no longer holds', async () => {
    const file = shard(eight());
    const { train } = await openTar();
    truncateSync(file, 700);
    await expect(imageSizes(train.paths)).rejects.toThrow(
      /shard\.tar#a1\.jpg&bytes=512,8: it cannot|cannot read the image/,
    );
    await expect(imageSizes(train.paths.slice(1))).rejects.toThrow(/700 bytes and the image lies beyond/);
  });

  it('of large members keep their sizes in base 256', () => {
    // 2^33 in the last bytes of the field, as GNU tar writes what octal cannot hold; the file itself is short.
    const size = Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]).toString('latin1');
    const file = join(folder, 'large.tar');
    writeFileSync(file, tarEntry({ name: 'a.jpg', size }));
    expect(() => [...tarMembers({ path: file, size: 2 ** 34, modified: 0 })]).toThrow(/large\.tar/);
    const [first] = tarMembers({ path: file, size: 2 ** 34, modified: 0 });
    expect(first).toMatchObject({ name: 'a.jpg', offset: 512, length: 2 ** 33 });
  });
});

describe('Parquet', () => {
  const openParquet = (path: string, options: object = {}) =>
    openDataset('parquet', { folder: path, ...options });

  it.each([
    ['datasets', 'trees-{00000..00001}-of-00002.parquet'],
    ['pyarrow, with snappy and dictionaries, without page indexes', 'snappy.parquet'],
  ])('is read as %s wrote it', async (_, name) => {
    const images = imagesOf(await openParquet(join(asWritten, name)));
    expect(images.map((image) => image.name).sort()).toEqual(asRead.parquet.map(([label]) => label).sort());
    // The same images lie in the tar shards, where they are seen byte by byte.
    const bytes = new Map(
      imagesOf(await openTar(asWritten)).map(({ path }) => [sha256(bytesAt(path)), bytesAt(path)]),
    );
    const expected = asRead.parquet.map(([label, hash]) => ({ label, bytes: bytes.get(hash)! }));
    const pixels = await pixelsOf(expected.map((image) => image.bytes));
    const found = await pixelsOf(images.map(({ path }) => path));
    expect(images.map((image, i) => [image.name, found[i]]).sort()).toEqual(
      expected.map(({ label }, i) => [label, pixels[i]]).sort(),
    );
    // Drawn in any order, also again and by sharp's way.
    const set = new ImageFiles(images.map(({ path }) => path));
    const out = new Uint8Array(2 * 24 * 18 * 3);
    const size = { width: 24, height: 18 };
    await set.read(
      [
        { index: 11, size },
        { index: 0, size },
      ],
      out,
    );
    expect([sha256(out.subarray(0, 1296)), sha256(out.subarray(1296))]).toEqual([found[11], found[0]]);
  });

  it('is refused in a line where it is none, or lacks a column', async () => {
    writeFileSync(join(folder, 'x.parquet'), 'PAR1 no');
    await expect(openParquet(folder)).rejects.toThrow(
      /x\.parquet: expected a Parquet file, but it cannot be read/,
    );
    copyFileSync(join(asWritten, 'snappy.parquet'), join(folder, 'x.parquet'));
    await expect(openParquet(folder, { image: 'photo' })).rejects.toThrow(
      /expected a column photo, its columns are image, label$/,
    );
    await expect(openParquet(folder, { image: 'label' })).rejects.toThrow(
      /expected the column label to hold images/,
    );
    await expect(openParquet(folder, { label: 'image' })).rejects.toThrow(
      /expected one class in each row of the column image/,
    );
    const { train } = await openParquet(folder);
    const beyond = train.paths[0]!.replace(/\d+$/, '99');
    await expect(imageSizes([beyond])).rejects.toThrow(/row=99: the file has no such row/);
    truncateSync(join(folder, 'x.parquet'), 4000);
    await expect(imageSizes(train.paths)).rejects.toThrow(
      /^cannot read the image [^\n]*x\.parquet#image&row=\d+: [^\n]*$/,
    );
  });
});

describe('images of one’s own', () => {
  it('are those of a folder, or of shards where it holds nothing else', async () => {
    shard(eight('train/'), 'sub/train-1.tar');
    const found = await foundImages(folder);
    expect(found.folder).toBe(folder);
    expect(found.images).toHaveLength(8);
    const [{ path, size } = { path: '', size: 0 }] = found.images;
    expect(path).toBe('sub/train-1.tar#train/a1.jpg&bytes=512,14');
    expect(size).toBe(statSync(join(folder, 'sub/train-1.tar')).size);
    expect([found.classOf(path), found.partOf(path)]).toEqual(['a', 'train']);
    expect(await photosDataset(folder)).toEqual({ name: 'webdataset', folder });
    expect((await foundImages(join(folder, 'sub/train-{1..1}.tar'))).folder).toBe(join(folder, 'sub'));
    mkdirSync(join(folder, 'elm'));
    writeFileSync(join(folder, 'elm/1.jpg'), '');
    const mixed = await foundImages(folder);
    expect(mixed.images.map((image) => image.path)).toEqual(['elm/1.jpg']);
    expect(mixed.leftOut.count('.tar')).toBe(1);
    expect(await photosDataset(folder)).toEqual({ name: 'folder', folder });
    expect(relative(folder, (await foundImages(folder)).folder)).toBe('');
  });
});
