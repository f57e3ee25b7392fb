import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { openPairs } from './pairs.js';

/** A folder of (empty) photos a … j, and a file of these lines in it. */
function written(lines: string): string {
  const folder = temporaryFolder();
  for (const name of 'abcdefghij') writeFileSync(join(folder, `${name}.jpg`), name);
  writeFileSync(join(folder, 'pairs.csv'), lines);
  return join(folder, 'pairs.csv');
}
/** `ab+ cd-` as lines of a file. */
const lines = (text: string, end = '') =>
  text
    .split(' ')
    .map((pair) => `${pair[0]}.jpg,${pair[1]}.jpg,${pair[2] === '+' ? 'same' : 'different'}${end}`)
    .join('\n');

it('reads pairs with their split: images once, groups of what is the same, and all pairs', async () => {
  const file = written(
    `same,split,first,second\nsame,train,a.jpg,b.jpg\n1,train,b.jpg,c.jpg\nDifferent,TRAIN,a.jpg,d.jpg\nno,test,e.jpg,f.jpg\nyes,test,f.jpg,g.jpg`,
  );
  const { name, train, test } = await openPairs({ file });
  expect(name).toBe('pairs');
  expect(train.paths.map((path) => path.at(-5))).toEqual(['a', 'b', 'c', 'd']);
  // a, b and c are the same, c by way of b.
  expect([...train.labels]).toEqual([0, 0, 0, 1]);
  expect(train.classNames).toEqual(['a.jpg', 'd.jpg']);
  expect(train.pairs).toEqual({
    first: Int32Array.of(0, 1, 0),
    second: Int32Array.of(1, 2, 3),
    same: Uint8Array.of(1, 1, 0),
  });
  expect(test.pairs).toEqual({
    first: Int32Array.of(0, 1),
    second: Int32Array.of(1, 2),
    same: Uint8Array.of(0, 1),
  });
});

it('divides whole groups where the file does not, and says how many pairs are across', async () => {
  const warnings: string[] = [];
  const file = written(lines('ab+ ac- cd+ ef+ gh+ eg- ce- ij+ hi-'));
  const { train, test } = await openPairs({ file, onWarning: (text) => warnings.push(text) });
  // Groups by name: a, c, e | g, i.
  expect(train.paths).toHaveLength(6);
  expect(test.paths).toHaveLength(4);
  expect(warnings.join()).toMatch(/1 of 9 pairs are of an image that trains and one that tests/);
  const all = await openPairs({ file, split: { kind: 'all' } });
  expect(all.train.pairs?.same).toHaveLength(9);
  expect(all.test.paths).toEqual([]);
});

it.each([
  [
    `${lines('ab+ cd-')}\na.jpg,c.jpg,maybe`,
    /line 3: expected same or different \(or 1 or 0\) as same, got "maybe"/,
  ],
  ['a.jpg,b.jpg,2', /line 1: expected same or different \(or 1 or 0\) as same, got "2"/],
  [
    `${lines('ab+ cd-')}\nx.jpg,c.jpg,same`,
    /1 of the 6 images that .*pairs\.csv lists is missing, the first is .*x\.jpg/,
  ],
  [lines('ab+ cc-'), /line 2: expected two photos, got .*c\.jpg twice/],
  [
    lines('ab+ cd- ba-'),
    /line 3: .*b\.jpg and .*a\.jpg are different, and the same in line 1: expected one answer/,
  ],
  ['a.jpg,b.jpg,same,train\nc.jpg,d.jpg,same,val', /line 2: expected train or test as split, got "val"/],
  [
    'a.jpg,b.jpg,same,train\nc.jpg,d.jpg,same',
    /line 2: expected train or test in each line or in none, got nothing/,
  ],
  [
    `${lines('ab+ cd-', ',train')}\n${lines('ef+ dg-', ',test')}`,
    /d\.jpg is in train, line 2, and in test, line 4/,
  ],
  [lines('ab+ cd+', ',train'), /expected pairs of both kinds for train, found 2 same and 0 different/],
  [lines('ab+ cd-', ',train'), /expected pairs of both kinds for test, found 0 same and 0 different/],
  ['first,second,label\na.jpg,b.jpg,same', /line 1: expected the columns first, second, same .*got "label"/],
  ['first,second\na.jpg,b.jpg', /line 1: expected the columns .*same is missing/],
  [
    'a.jpg;b.jpg;same',
    /line 1: expected first,second,same\[,train\|test\], got "a\.jpg;b\.jpg;same"; .*semicolons/,
  ],
  ['a.jpg,b.jpg,same,train,more', /line 1: expected first,second,same/],
  ['../a.jpg,b.jpg,same', /line 1: expected a path inside/],
  ['', /found no line/],
  ['first,second,same', /found no line/],
])('refuses what is no file of pairs: %s', async (text, message) => {
  await expect(openPairs({ file: written(text) })).rejects.toThrow(message);
});

it('knows one file by several names, and counts a pair once', async () => {
  const warnings: string[] = [];
  const file = written(`${lines('ab+ ad- ef+ eg-')}\nsub/a.jpg,b.jpg,same\n./a.jpg,b.jpg,same`);
  const folder = join(file, '..');
  mkdirSync(join(folder, 'sub'));
  linkSync(join(folder, 'a.jpg'), join(folder, 'sub/a.jpg'));
  const { train } = await openPairs({
    file,
    onWarning: (text) => warnings.push(text),
    split: { kind: 'all' },
  });
  expect(train.pairs?.same).toHaveLength(4);
  expect(warnings.join()).toMatch(/2 pairs are listed again: each counts once/);
  writeFileSync(file, `${lines('ab+ ad-')}\nsub/a.jpg,b.jpg,0`);
  await expect(openPairs({ file })).rejects.toThrow(/expected one answer for a pair/);
  writeFileSync(file, `${lines('ab+ ad-')}\nsub/a.jpg,a.jpg,0`);
  await expect(openPairs({ file })).rejects.toThrow(/expected two photos/);
});

it('takes what is there of a file that is not whole, where it is told to', async () => {
  const warnings: string[] = [];
  const file = written(`${lines('ab+ ac- ef+ eg-')}\nx.jpg,a.jpg,same`);
  const options = {
    allowPartial: true,
    split: { kind: 'all' },
    onWarning: (text: string) => warnings.push(text),
  } as const;
  const { train } = await openPairs({ file, ...options });
  expect(train.pairs?.same).toHaveLength(4);
  expect(warnings.join()).toMatch(/missing/);
});
