import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { ownInGallery } from '../data/file-identity.js';
import { openCsv } from './csv.js';
import { openFolder } from './folder.js';
import { withoutRepeatedFiles } from './repeated-files.js';

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = temporaryFolder();
  warnings = [];
  for (const name of 'abcdefgh') writeFileSync(join(folder, `${name}.png`), `image ${name}`);
  linkSync(join(folder, 'a.png'), join(folder, 'A-hard.png'));
  symlinkSync('a.png', join(folder, 'a-soft.png'));
  writeFileSync(join(folder, 'a-copy.png'), 'image a');
});

const train = 'c.png,x,train\nd.png,x,train\ne.png,y,train\n';
async function open(rows: string) {
  writeFileSync(join(folder, 'list.csv'), rows);
  return await openCsv({ file: folder, onWarning: (message) => warnings.push(message) });
}
async function problem(rows: string): Promise<string> {
  const error = await open(rows).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).not.toContain('\n');
  return (error as UserError).message;
}
const names = (paths: readonly string[] = []) => paths.map((path) => path.slice(folder.length + 1));

describe('a file that is listed more than once', () => {
  const aliases = ['a.png', './a.png', 'sub/../a.png', 'A-hard.png', 'a-soft.png'];

  it.each(aliases)('as %s: counts once in its class', async (alias) => {
    const tests = 'f.png,t,test\ng.png,t,test\nh.png,u,test\n';
    const dataset = await open(`${train}a.png,x,train\n${alias},x,train\n${tests}`);
    expect(names(dataset.train.paths)).toEqual(['c.png', 'd.png', 'e.png', 'a.png']);
    expect([...dataset.train.labels]).toEqual([0, 0, 1, 0]);
    expect(warnings[0]).toMatch(
      /list\.csv: 1 file is listed more than once: it counts once, the first .*a\.png \(train, x\)/,
    );
  });

  it.each(aliases)('as %s: must not have two labels, nor train and test', async (alias) => {
    const tests = 'f.png,t,test\ng.png,t,test\nh.png,u,test\n';
    expect(await problem(`${train}a.png,x,train\n${alias},y,train\n${tests}`)).toMatch(
      /1 file has two labels, the first .*a\.png \(train, x\) and .* \(train, y\); list a file once/,
    );
    expect(await problem(`${train}a.png,x,train\n${alias},t,test\n${tests}`)).toMatch(
      /1 file is listed for training and for test, the first .*a\.png \(train, x\) and .* \(test, t\)/,
    );
    expect(await problem(`${train}a.png,t,test\n${alias},u,test\n${tests}`)).toMatch(/1 file has two labels/);
  });

  it.each(aliases)('as %s: a query is not compared with its own file in the gallery', async (alias) => {
    const tests = `a.png,t,test,query\nb.png,u,test,query\n${alias},t,test,gallery\nf.png,t,test,gallery\ng.png,u,test,gallery\n`;
    const dataset = await open(train + tests);
    expect(warnings).toEqual([
      expect.stringMatching(
        /1 query is in the gallery too, the first .* a query is never compared with its own file$/,
      ),
    ]);
    const own = await ownInGallery(dataset.test.paths, dataset.gallery?.paths ?? []);
    expect([...own]).toEqual([[0, [0]]]);
  });

  it('listed twice in the gallery, counts once there', async () => {
    const tests = 'a.png,t,test,query\nf.png,t,test,gallery\nf.png,t,test,gallery\ng.png,u,test,gallery\n';
    expect(names((await open(train + tests)).gallery?.paths)).toEqual(['f.png', 'g.png']);
    expect(
      await problem(`${train}a.png,t,test,query\na-soft.png,t,test,gallery\ng.png,u,test,gallery\n`),
    ).toMatch(/expected query images of which some have another one of their class to find/);
  });

  it('by links of class folders too', async () => {
    const own = join(folder, 'own');
    for (const name of 'abcd') {
      mkdirSync(join(own, name), { recursive: true });
      for (const i of [1, 2]) writeFileSync(join(own, name, `${i}.jpg`), `${name}${i}`);
    }
    linkSync(join(own, 'a', '1.jpg'), join(own, 'd', '3.jpg'));
    await expect(openFolder({ folder: own })).rejects.toThrow(
      /1 file is listed for training and for test, the first .*a\/1\.jpg \(train, a\) and .*d\/3\.jpg \(test, d\)/,
    );
  });
});

it('a file that counts once takes its labels, camera and pairs along, and no others', async () => {
  const paths = ['c.png', 'a.png', 'd.png', 'A-hard.png', 'e.png'].map((name) => join(folder, name));
  const split = (name: string, some: string[]) => ({
    name,
    paths: some,
    labels: Int32Array.from(some, (_, i) => (i === 4 ? 1 : 0)),
    classNames: ['x', 'y'],
    labelSets: some.map((_, i) => Int32Array.of(i === 4 ? 1 : 0)),
    cameras: Int32Array.from(some.keys()),
    pairs: {
      first: Int32Array.of(0, 3, 2),
      second: Int32Array.of(1, 4, 4),
      same: Uint8Array.of(1, 1, 0),
    },
  });
  const dataset = { name: 'x', folder, train: split('train', paths), test: split('test', []), recallAt: [1] };
  const { train } = await withoutRepeatedFiles(dataset, { source: 'x' });
  expect(names(train.paths)).toEqual(['c.png', 'a.png', 'd.png', 'e.png']);
  expect([...train.labels]).toEqual([0, 0, 0, 1]);
  expect(train.labelSets?.map((set) => [...set])).toEqual([[0], [0], [0], [1]]);
  expect([...train.cameras!]).toEqual([0, 1, 2, 4]);
  const { first, second, same } = train.pairs!;
  expect([...same].map((answer, i) => [first[i], second[i], answer])).toEqual([
    [0, 1, 1],
    [2, 3, 0],
  ]);
});

it('counts exact copies, and leaves them', async () => {
  const tests =
    'a.png,t,test,query\nb.png,u,test,query\na-copy.png,t,test,gallery\nf.png,t,test,gallery\ng.png,u,test,gallery\n';
  writeFileSync(join(folder, 'c.png'), 'image d');
  writeFileSync(join(folder, 'e.png'), 'image b');
  const dataset = await open(train + tests);
  expect([dataset.train, dataset.test, dataset.gallery].map((split) => split?.paths.length)).toEqual([
    3, 2, 3,
  ]);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(
    /3 images have exact copies: 1 in training and in test, .*; 1 among the queries and in the gallery, which find each other and better the numbers, .*; 1 in one class, /,
  );
});

it('counts queries that can find nothing', async () => {
  await open(`${train}a.png,t,test,query\nb.png,u,test,query\nf.png,t,test,gallery\n`);
  await open(`${train}a.png,t,test\nb.png,u,test\nf.png,t,test\n`);
  expect(warnings).toEqual([
    expect.stringMatching(
      /1 of 2 queries has no match in the gallery and counts as a miss: R@k cannot pass 50\.0 %$/,
    ),
    expect.stringMatching(
      /1 of 3 test images is the only one of their class and counts as a miss: R@k cannot pass 66\.7 %$/,
    ),
  ]);
});
