import { expect, it } from 'vitest';
import { twoSidedT } from '../packages/conquer/dist/evaluate/standard-error.js';
import { paired, standardError } from './statistics.mjs';

it('pairs by seed, whatever else there is', () => {
  const ours = new Map([
    [1, 0.5],
    [2, 0.7],
    [3, 0.9],
  ]);
  const theirs = new Map([
    [2, 0.6],
    [1, 0.3],
    [9, 0],
  ]);
  const { difference, error, p, count } = paired(ours, theirs);
  expect([difference, error, count]).toEqual([expect.closeTo(0.15, 12), expect.closeTo(0.05, 12), 2]);
  expect(p).toBeCloseTo(twoSidedT(3, 1), 12);
  expect(paired(ours, new Map())).toBe(null);
  expect(standardError([1])).toBe(null);
});
