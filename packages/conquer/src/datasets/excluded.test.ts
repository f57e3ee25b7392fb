import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openData } from './data.js';

let folder: string;

beforeAll(async () => {
  folder = join(temporaryFolder(), 'photos');
  for (const [at, name] of ['a', 'b', 'c', 'd'].entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < 3; i++)
      await sharp({
        create: { width: 8, height: 8, channels: 3, background: { r: 60 * at, g: 80 * i, b: 9 } },
      })
        .png()
        .toFile(join(folder, name, `${i}.png`));
  }
});

const opened = async (csv: string) => {
  const exclude = join(temporaryFolder(), 'exclude.csv');
  writeFileSync(exclude, csv);
  const warnings: string[] = [];
  const dataset = await openData(
    { dataset: { name: 'folder', folder }, exclude },
    { seed: 1, onWarning: (text) => warnings.push(text) },
  );
  return { dataset, warnings, exclude };
};

describe('data.exclude', () => {
  it('leaves images out, by paths relative to the folder or absolute; a class without images is none', async () => {
    const { dataset, warnings, exclude } = await opened(
      `path,why\na/0.png,blurred\n"${join(folder, 'c', '1.png')}",x\nb/0.png,\nb/1.png,\nb/2.png,\n`.replace(
        'b/0',
        'a/1',
      ),
    );
    expect(dataset.train.classNames).toEqual(['a', 'b']);
    expect(dataset.train.paths.map((path) => path.slice(folder.length + 1))).toEqual(['a/2.png', 'b/0.png']);
    expect(dataset.test.paths).toHaveLength(5);
    expect(warnings.at(-1)).toBe(`${exclude}: 5 images left out`);
  });

  it('hears nothing of copies of what it leaves out, and of others as ever', async () => {
    for (const [from, to] of [
      ['a/0.png', 'c/copy.png'],
      ['b/1.png', 'd/copy.png'],
    ])
      copyFileSync(join(folder, from!), join(folder, to!));
    const copies = (warnings: readonly string[]) => warnings.filter((text) => text.includes('exact copies'));
    try {
      expect(copies((await opened('path\na/1.png\n')).warnings)[0]).toMatch(
        /2 images have exact copies: 2 in/,
      );
      const one = copies((await opened(`path\n${join(folder, 'c/copy.png')}\n`)).warnings);
      expect(one[0]).toMatch(/1 image has exact copies: 1 in training and in test, the first .*b\/1\.png/);
      expect(copies((await opened('path\na/0.png\nd/copy.png\n')).warnings)).toEqual([]);
    } finally {
      for (const copy of ['c/copy.png', 'd/copy.png']) rmSync(join(folder, copy));
    }
  });

  it('numbers the classes that are left anew', async () => {
    const { dataset, warnings } = await opened('path\na/0.png\na/1.png\na/2.png\n');
    expect(dataset.train.classNames).toEqual(['b']);
    expect([...dataset.train.labels]).toEqual([0, 0, 0]);
    expect(warnings.at(-1)).toMatch(/3 images left out, and with them 1 class$/);
  });

  it('says which images are not there, and refuses a list of none that is', async () => {
    const { warnings } = await opened('path\na/0.png\nelsewhere.png\n');
    expect(warnings[0]).toMatch(/1 of 2 images to leave out are not in the data set/);
    await expect(opened('path;why\na/1.png;blurred\n')).rejects.toThrow(
      /a column path, got path;why; its cells seem to be apart by semicolons: save it with commas/,
    );
    await expect(opened('path\nx.png\n')).rejects.toThrow(/none of its 1 is there, such as .*x\.png/);
    await expect(opened('file\na/0.png\n')).rejects.toThrow(/column path, got file/);
    await expect(opened('path,label\n,a\n')).rejects.toThrow(/line 2: expected the path/);
  });
});

it('leaves out the pairs of images that are left out', async () => {
  const file = join(folder, 'pairs.csv');
  const lines = ['a/0.png,a/1.png,1', 'a/1.png,a/2.png,1', 'a/2.png,b/0.png,0', 'b/0.png,c/0.png,0'];
  writeFileSync(file, lines.join('\n'));
  const exclude = join(temporaryFolder(), 'exclude.csv');
  writeFileSync(exclude, 'path\na/0.png\nc/0.png\n');
  const { train } = await openData(
    { dataset: { name: 'pairs', file }, trainOn: 'all', exclude },
    { seed: 1, onWarning: () => {} },
  );
  const listed = Array.from(train.pairs!.same, (same, pair) => [
    train.paths[train.pairs!.first[pair]!]!.slice(-7),
    train.paths[train.pairs!.second[pair]!]!.slice(-7),
    same,
  ]);
  expect(listed).toEqual([
    ['a/1.png', 'a/2.png', 1],
    ['a/2.png', 'b/0.png', 0],
  ]);
});
