import { expect, it } from 'vitest';
import { withClassRatio } from './class-ratio.js';
import { splitOfClasses } from './dataset.js';

const split = (name: string, classes: number) =>
  splitOfClasses(
    name,
    Array.from({ length: classes }, (_, c) => ({ name: `c${c}`, paths: [`${c}/a`, `${c}/b`] })),
  );
const dataset = { name: 'x', train: split('train', 8), test: split('test', 6), recallAt: [1] };

it('keeps the first classes of each split', () => {
  const half = withClassRatio(dataset, 0.5);
  expect(half.train.classNames).toEqual(['c0', 'c1', 'c2', 'c3']);
  expect([...half.test.labels]).toEqual([0, 0, 1, 1, 2, 2]);
  expect(half.test.paths).toEqual(['0/a', '0/b', '1/a', '1/b', '2/a', '2/b']);
  expect(withClassRatio(dataset, 1)).toBe(dataset);
});

it('cuts galleries and further test sets alike', () => {
  const { gallery, testSets } = withClassRatio(
    { ...dataset, gallery: split('gallery', 6), testSets: [split('a', 4)] },
    0.5,
  );
  expect([gallery?.classNames.length, testSets?.[0]?.classNames]).toEqual([3, ['c0', 'c1']]);
});

it('refuses to leave fewer than two classes', () => {
  expect(() => withClassRatio(dataset, 0.2)).toThrow('data.classRatio: 0.2 leaves 1 of 6 test classes');
});
