import { expect, it } from 'vitest';
import { paired, standardError, twoSidedT } from './statistics.mjs';

it('knows the quantiles of t that tables have', () => {
  // Two-sided, 5 and 1 per cent.
  for (const [freedom, five, one] of [
    [1, 12.706, 63.657],
    [2, 4.303, 9.925],
    [3, 3.182, 5.841],
    [4, 2.776, 4.604],
    [7, 2.365, 3.499],
    [30, 2.042, 2.75],
  ]) {
    expect(twoSidedT(five, freedom)).toBeCloseTo(0.05, 4);
    expect(twoSidedT(-one, freedom)).toBeCloseTo(0.01, 4);
  }
  expect(twoSidedT(0, 4)).toBe(1);
});

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
