import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Dataset } from './dataset.js';
import { openFolder } from './folder.js';
import { openDataset } from './open.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function addClass(name: string, ...files: string[]) {
  mkdirSync(join(folder, name), { recursive: true });
  for (const file of files) writeFileSync(join(folder, name, file), '');
}

function addClasses(...names: string[]) {
  for (const name of names) addClass(name, '1.jpg', '2.png');
}

const classes = ({ train, test }: Dataset) => [train.classNames, test.classNames];

describe('openFolder', () => {
  it('takes a class per subfolder, and the first half of the sorted classes to train', async () => {
    addClasses('b', 'a', 'C', 'd', 'ä');
    addClass('a', '0.WEBP', 'notes.txt', '._1.jpg', 'logo.svg');
    mkdirSync(join(folder, 'a', 'deeper.jpg'));
    writeFileSync(join(folder, 'readme.md'), '');
    mkdirSync(join(folder, '.hidden'));
    const dataset = await openFolder({ folder });
    expect(classes(dataset)).toEqual([
      ['C', 'a', 'b'],
      ['d', 'ä'],
    ]);
    expect(dataset.train.paths).toEqual(
      ['C/1.jpg', 'C/2.png', 'a/0.WEBP', 'a/1.jpg', 'a/2.png', 'a/logo.svg', 'b/1.jpg', 'b/2.png'].map(
        (path) => join(folder, path),
      ),
    );
    expect(Array.from(dataset.train.labels)).toEqual([0, 0, 1, 1, 1, 1, 2, 2]);
    expect(Array.from(dataset.test.labels)).toEqual([0, 0, 1, 1]);
  });

  it('leaves classes without images out, and says so', async () => {
    addClasses('a', 'b', 'c', 'd');
    addClass('empty');
    addClass('other', 'text.txt');
    const warnings: string[] = [];
    const dataset = await openFolder({ folder, onWarning: (message) => warnings.push(message) });
    expect(classes(dataset).flat()).toEqual(['a', 'b', 'c', 'd']);
    expect(warnings).toEqual([
      `${folder}: 1 file left out: 1 .txt (other/text.txt); 2 folders left out: 2 without images (the first is empty)`,
    ]);
  });

  it('counts all that it leaves out by kind', async () => {
    addClasses('a', 'b', 'c', 'd');
    addClass('.', '1.jpg', '2.png', '3.jpg');
    addClass('a', '1.heic', '2.HEIC', '3.jfif', '3.xyz');
    const warnings: string[] = [];
    const dataset = await openFolder({ folder, onWarning: (message) => warnings.push(message) });
    expect(dataset.train.paths).toHaveLength(5);
    expect(warnings).toEqual([
      `${folder}: 6 files left out: 3 loose (the first is 1.jpg), 2 .heic (the first is a/1.heic; convert them, for example with heif-convert), 1 .xyz (a/3.xyz)`,
    ]);
  });

  it('reads nested folders into the class above them, and says so', async () => {
    addClasses('a', 'b', 'c', 'd');
    addClass('a/x/y', '3.jpg');
    const warnings: string[] = [];
    const dataset = await openFolder({ folder, onWarning: (message) => warnings.push(message) });
    expect(dataset.train.paths.slice(0, 3)).toEqual(
      ['a/1.jpg', 'a/2.png', 'a/x/y/3.jpg'].map((path) => join(folder, path)),
    );
    expect(warnings[0]).toMatch(
      /1 image lies in deeper folders, the first is .*a\/x\/y\/3\.jpg; of 1 class,/,
    );
    const only = temporaryFolder();
    for (const name of ['a', 'b']) mkdirSync(join(only, 'images', name), { recursive: true });
    for (const name of ['a', 'b']) writeFileSync(join(only, 'images', name, '1.jpg'), '');
    await expect(openFolder({ folder: only })).rejects.toThrow(
      /found only images; if its 2 folders are the classes, give .*images$/,
    );
  });

  it.each([
    [['train', 'val'], undefined],
    [['Train', 'Test'], undefined],
    [
      ['train', 'val', 'test'],
      ['c', 'd'],
    ],
  ])('takes %j as parts', async (names, chosen) => {
    const [train = '', ...others] = names;
    addClasses(`${train}/a`, `${train}/b`);
    for (const [i, name] of others.entries()) addClasses(`${name}/${'ce'[i]}`, `${name}/${'df'[i]}`);
    addClass('.', 'loose.jpg');
    addClass('unsorted', '1.jpg');
    const warnings: string[] = [];
    const dataset = await openFolder({ folder, onWarning: (message) => warnings.push(message) });
    expect(dataset.train.classNames).toEqual(['a', 'b']);
    expect(dataset.validation?.classNames).toEqual(chosen);
    expect(dataset.test.classNames).toEqual(chosen ? ['e', 'f'] : ['c', 'd']);
    expect(warnings[0]).toMatch(/divide it: 2 classes to train on, .*2 to test on/);
    expect(warnings[1]).toMatch(/2 files left out: 1 beside .* \(unsorted\/1\.jpg\), 1 loose \(loose\.jpg\)/);
  });

  it('refuses parts that share classes, unless it divides them anew', async () => {
    addClasses('train/a', 'train/b', 'val/a', 'val/b', 'val/c', 'train/d');
    await expect(openFolder({ folder })).rejects.toThrow(
      /2 classes are in the folders for train and for test, the first is a/,
    );
    const split = { kind: 'fraction', fraction: 0.5, seed: 1 } as const;
    const dataset = await openFolder({ folder, split });
    expect(classes(dataset).flat().sort()).toEqual(['a', 'b', 'c', 'd']);
    expect([...dataset.train.paths, ...dataset.test.paths]).toHaveLength(12);
  });

  it('takes train for a class where there are no classes in it', async () => {
    addClasses('train', 'test', 'bus', 'car');
    expect(classes(await openFolder({ folder })).flat()).toEqual(['bus', 'car', 'test', 'train']);
  });

  it('reads the training classes from a list', async () => {
    addClasses('a', 'b', 'c', 'd', 'with space');
    const file = join(folder, 'train.txt');
    writeFileSync(file, '\uFEFF# trained on\r\nd\r\n\r\n  with space \r\nb');
    expect(classes(await openFolder({ folder, split: { kind: 'list', file } }))).toEqual([
      ['b', 'd', 'with space'],
      ['a', 'c'],
    ]);
    writeFileSync(file, 'a\nx y\n');
    await expect(openFolder({ folder, split: { kind: 'list', file } })).rejects.toThrow(
      /train\.txt, line 2: expected the name of a class in .*, got "x y"$/,
    );
    const missing = openFolder({ folder, split: { kind: 'list', file: join(folder, 'none.txt') } });
    await expect(missing).rejects.toThrow(/none\.txt: expected half, random, or a text file .*\(ENOENT\)/);
  });

  it('draws a fraction of the classes by a seed', async () => {
    addClasses(...'abcdefghij');
    const split = async (fraction: number, seed: number) =>
      classes(await openFolder({ folder, split: { kind: 'fraction', fraction, seed } }));
    const [train = [], test = []] = await split(0.7, 1);
    expect([train.length, test.length]).toEqual([7, 3]);
    expect([...train, ...test].sort()).toEqual([...'abcdefghij']);
    expect(await split(0.7, 1)).toEqual([train, test]);
    const others = await Promise.all([2, 3, 4].map((seed) => split(0.7, seed)));
    expect(others.some(([other]) => other?.join() !== train.join())).toBe(true);
    for (const fraction of [0, 1, -1, Number.NaN])
      await expect(split(fraction, 1)).rejects.toThrow(/between 0 and 1/);
  });

  it('says in one line what is wrong with a folder', async () => {
    const problem = async (path: string) => {
      const error = await openFolder({ folder: path }).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(UserError);
      const { message } = error as UserError;
      expect(message).not.toContain('\n');
      return message;
    };
    expect(await problem(join(folder, 'nowhere'))).toMatch(
      /nowhere: expected a folder .* there is no such folder$/,
    );
    writeFileSync(join(folder, 'file'), '');
    expect(await problem(join(folder, 'file'))).toMatch(/it is a file$/);
    expect(await problem(folder)).toMatch(/expected a subfolder of images for each class, found none/);
    addClasses('a', 'b', 'c');
    expect(await problem(folder)).toMatch(/at least 2 classes for test, the split leaves 1 of 3/);
    rmSync(join(folder, 'c'), { recursive: true });
    addClass('c', '1.jpg');
    addClass('d', '1.jpg');
    expect(await problem(folder)).toMatch(
      /a class with at least 2 images for test, each of the 2 has only one/,
    );
  });
});

describe('openDataset', () => {
  it('opens by name and refuses other names', async () => {
    addClasses('a', 'b', 'c', 'd');
    expect((await openDataset('folder', { folder })).train.classNames).toEqual(['a', 'b']);
    await expect(openDataset('folder', {} as { folder: string })).rejects.toThrow(
      'folder: expected the folder with a subfolder of images for each class, got nothing',
    );
    await expect(openDataset('emojis' as 'cub', { folder })).rejects.toThrow(
      'name: expected one of emoji, emoji-tones, folder, csv, webdataset, parquet, pairs, cub, cars, sop, inshop, vid, market-1501, msmt17, veri, got "emojis"',
    );
  });
});
