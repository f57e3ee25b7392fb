import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { mcnemar } from './mcnemar.js';
import { standardErrorOverClasses, twoSidedT, twoSidedTail } from './standard-error.js';

const peers = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../test/fixtures/comparison.json', import.meta.url)), 'utf8'),
);

it("has statsmodels' p-values: exact below 25 queries on which they differ, else corrected chi-square", () => {
  for (const { onlyFirst, onlySecond, statistic, pValue } of peers.mcnemar) {
    const first = [...Array(onlyFirst).fill(1), ...Array(onlySecond).fill(0), 1, 0, 1];
    const second = [...Array(onlyFirst).fill(0), ...Array(onlySecond).fill(1), 1, 0, 1];
    const test = mcnemar(first, second);
    expect(test).toMatchObject({ onlyFirst, onlySecond });
    expect(test.method).toBe(onlyFirst + onlySecond < 25 ? 'exact' : 'chi-square');
    if (statistic === null) expect(test.statistic).toBeNull();
    else expect(test.statistic).toBeCloseTo(statistic, 12);
    expect(Math.abs(test.pValue / pValue - 1)).toBeLessThan(1e-12);
  }
  expect(() => mcnemar([1], [])).toThrow('as many results of both, got 1 and 0');
});

it("is statsmodels' error of a mean, clustered by class", () => {
  expect(peers.clustered).toHaveLength(3);
  for (const { values, labels, standardError } of peers.clustered)
    expect(Math.abs(standardErrorOverClasses(values, labels)! / standardError - 1)).toBeLessThan(1e-12);
});

it("is the deviation of the classes' means over the root of their number, where these are equally large", () => {
  // Means 1, 1/2, 0: deviation 1/2.
  expect(standardErrorOverClasses([1, 1, 0, 1, 0, 0], [4, 4, 9, 9, 7, 7])).toBeCloseTo(
    0.5 / Math.sqrt(3),
    14,
  );
  expect(standardErrorOverClasses([1, 0, 1], [2, 2, 2])).toBeNull();
  // 1/49 added 49 times is not 1.
  const hits = Array.from({ length: 49 }, () => 1);
  expect(
    standardErrorOverClasses(
      hits,
      hits.map((_, at) => at % 7),
    ),
  ).toBe(0);
});

it('knows the tails of the normal distribution', () => {
  expect(twoSidedTail(0)).toBe(1);
  expect(twoSidedTail(-1.959963984540054)).toBeCloseTo(0.05, 14);
});

it('knows the quantiles of t that tables have', () => {
  // Two-sided, 5 and 1 per cent.
  const table: [number, number, number][] = [
    [1, 12.706, 63.657],
    [2, 4.303, 9.925],
    [3, 3.182, 5.841],
    [4, 2.776, 4.604],
    [7, 2.365, 3.499],
    [30, 2.042, 2.75],
  ];
  for (const [freedom, five, one] of table) {
    expect(twoSidedT(five, freedom)).toBeCloseTo(0.05, 4);
    expect(twoSidedT(-one, freedom)).toBeCloseTo(0.01, 4);
  }
  expect(twoSidedT(0, 4)).toBe(1);
});
