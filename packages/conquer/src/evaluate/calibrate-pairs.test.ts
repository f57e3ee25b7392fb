import { Generator, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { type ImagePairs, pairsAmong } from '../image-pairs.js';
import { unitRows } from '../neighbours/unit-rows.js';
import { calibratePairs } from './calibrate-pairs.js';

const [GROUPS, EACH, DIM] = [60, 2, 16];
const generator = new Generator(1);
const rows = scope(() => {
  const centres = randn([GROUPS, 1, DIM], { generator });
  const noise = randn([GROUPS, EACH, DIM], { generator }).mul(0.6);
  return unitRows('test', centres.add(noise).reshape([GROUPS * EACH, DIM]), String).keep();
});
const groups = Int32Array.from({ length: GROUPS * EACH }, (_, image) => Math.floor(image / EACH));

/** Of each group its two images, and of every two groups an image each. */
const pairs = (() => {
  const found: [number, number, number][] = [];
  for (let a = 0; a < GROUPS; a++) {
    found.push([EACH * a, EACH * a + 1, 1]);
    for (let b = a + 1; b < GROUPS; b++) found.push([EACH * a, EACH * b + 1, 0]);
  }
  return {
    first: Int32Array.from(found, ([first]) => first),
    second: Int32Array.from(found, ([, second]) => second),
    same: Uint8Array.from(found, ([, , same]) => same),
  } satisfies ImagePairs;
})();

const numbers = rows.toNumbers();
const cosineOf = (pair: number) => {
  const [a, b] = [pairs.first[pair]! * DIM, pairs.second[pair]! * DIM];
  return Array.from({ length: DIM }, (_, d) => numbers[a + d]! * numbers[b + d]!).reduce((x, y) => x + y);
};
const share = (same: 0 | 1, similarity: number) => {
  const own = [...pairs.same.keys()].filter((pair) => pairs.same[pair] === same);
  return own.filter((pair) => cosineOf(pair) >= similarity).length / own.length;
};

it('has the thresholds that sorting the listed pairs gives, and says which rates there are too few pairs for', () => {
  const calibration = calibratePairs(rows, pairs, groups, { embedder: 'e', source: 'test' });
  expect(calibration).toMatchObject({
    embedder: 'e',
    source: 'test',
    classes: GROUPS,
    images: GROUPS * EACH,
  });
  expect(calibration).toMatchObject({ samePairs: GROUPS, differentPairs: (GROUPS * (GROUPS - 1)) / 2 });
  expect(calibration.thresholds.map(({ rate }) => rate)).toEqual([0.1]);
  for (const { rate, similarity, interval, found } of calibration.thresholds) {
    expect(share(0, similarity)).toBeLessThanOrEqual(rate);
    expect(share(0, similarity)).toBeGreaterThan(rate - 2 / calibration.differentPairs);
    expect(found).toBeCloseTo(share(1, similarity), 2);
    expect(interval[0]).toBeLessThan(rate);
    expect(interval[1]).toBeGreaterThan(rate);
    // Pairs that share a photo are fewer witnesses than as many that do not.
    const ofIndependentPairs = 2 * 1.96 * Math.sqrt((rate * (1 - rate)) / calibration.differentPairs);
    expect(interval[1] - interval[0]).toBeGreaterThan(1.3 * ofIndependentPairs);
  }
  expect(calibration.refused).toMatchObject([
    {
      rate: 0.01,
      reason: 'only 17 different pairs lie beyond its threshold, 30 are needed: more pairs of other photos',
    },
    { rate: 0.001 },
    { rate: 0.0001, reason: expect.stringContaining('only 0 different pairs') },
  ]);
  expect(calibratePairs(rows, pairs, groups, { embedder: 'e', source: 'test' })).toEqual(calibration);
});

it('refuses pairs of one kind', () => {
  const alone = pairsAmong(pairs, [0, 1]);
  expect(() => calibratePairs(rows, alone, groups, { source: 'x' })).toThrow(
    'x: expected pairs of both kinds to calibrate on, got 1 same and 0 different',
  );
});
