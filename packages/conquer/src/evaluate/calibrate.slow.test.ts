import { cat, Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { unitRows } from '../neighbours/unit-rows.js';
import { Random } from '../random.js';
import { calibrate, matchProbability, observedRate, thresholdFor } from './calibrate.js';
import { isotonic } from './isotonic.js';
import { openSet } from './open-set.js';

/** Rows of classes around centres of their own: `each` of `classes`, of 16 numbers. */
function classesOf(classes: number, each: number, seed: number): { rows: Tensor; labels: Int32Array } {
  const generator = new Generator(seed);
  const rows = scope(() => {
    const centres = randn([classes, 1, 16], { generator });
    const noise = randn([classes, each, 16], { generator }).mul(0.6);
    return unitRows('test', centres.add(noise).reshape([classes * each, 16]), String);
  });
  return { rows, labels: Int32Array.from({ length: classes * each }, (_, i) => Math.floor(i / each)) };
}

/** Cosines of all pairs, of one class and of two. */
function pairsOf(rows: Tensor, labels: Int32Array) {
  const cosines = scope(() => rows.matmul(rows.t()).tolist()) as number[][];
  const [same, different]: [number[], number[]] = [[], []];
  for (let i = 0; i < labels.length; i++)
    for (let j = i + 1; j < labels.length; j++)
      (labels[i] === labels[j] ? same : different).push(cosines[i]![j]!);
  return { same, different };
}

it('isotonic regression is the greatest of the least means', () => {
  const random = new Random(3);
  for (let round = 0; round < 30; round++) {
    const count = 1 + random.int(12);
    const values = Array.from({ length: count }, () => random.int(5));
    const weights = Array.from({ length: count }, () => 0.5 + random.next());
    const { starts, values: fitted } = isotonic(values, weights);
    const mean = (from: number, to: number) => {
      let [sum, total] = [0, 0];
      for (let at = from; at <= to; at++) {
        sum += values[at]! * weights[at]!;
        total += weights[at]!;
      }
      return sum / total;
    };
    for (let at = 0; at < count; at++) {
      const wanted = Math.max(
        ...Array.from({ length: at + 1 }, (_, from) =>
          Math.min(...Array.from({ length: count - at }, (__, more) => mean(from, at + more))),
        ),
      );
      expect(fitted[starts.findLastIndex((start) => start <= at)]).toBeCloseTo(wanted, 10);
    }
  }
});

describe('a calibration', () => {
  it('has the thresholds that sorting all pairs gives, and says which rates there are too few classes for', () => {
    const live = liveTensors();
    {
      const { rows, labels } = classesOf(90, 5, 1);
      const { same, different } = pairsOf(rows, labels);
      const calibration = calibrate(rows, labels, { embedder: 'e', source: 'test' });
      expect(calibration).toMatchObject({ embedder: 'e', classes: 90, images: 450 });
      expect([calibration.samePairs, calibration.differentPairs]).toEqual([same.length, different.length]);
      const rates = calibration.thresholds.map(({ rate }) => rate);
      expect(rates).toEqual([0.1, 0.01, 0.001]);
      for (const { rate, similarity, interval, found } of calibration.thresholds) {
        const share = (some: number[]) => some.filter((cosine) => cosine >= similarity).length / some.length;
        expect(share(different)).toBeLessThanOrEqual(rate);
        // One more pair would be too many, but for what one bin holds.
        expect(share(different)).toBeGreaterThan(rate - 2 / different.length);
        expect(found).toBeCloseTo(share(same), 3);
        expect(interval[0]).toBeLessThan(rate);
        expect(interval[1]).toBeGreaterThan(rate);
        expect(observedRate(rows, labels, similarity)).toBeCloseTo(share(different), 12);
      }
      expect(calibration.refused).toMatchObject([{ rate: 0.0001 }]);
      expect(thresholdFor(calibration, 0.05)).toBe(calibration.thresholds[1]);
      expect(() => thresholdFor(calibration, 0.0005)).toThrow(
        /maxFalseMatch 0\.0005: the calibration, of 90 classes, supports rates of 0\.001 or more \(only \d+ pairs of classes lie beyond its threshold, 30 are needed/,
      );
      expect(() => thresholdFor(calibration, 0)).toThrow(/expected a rate above 0/);
      rows.dispose();
    }
    expect(liveTensors()).toBe(live);
  });

  it('holds on classes that took no part, within its interval', () => {
    // Of some 24 intervals of 95 %, of which the other classes' own chance makes some miss.
    let [within, all] = [0, 0];
    for (let seed = 0; seed < 8; seed++) {
      const { rows, labels } = classesOf(300, 4, 100 + seed);
      const half = rows.size(0) / 2;
      using first = rows.narrow(0, 0, half);
      using second = rows.narrow(0, half, half);
      const calibration = calibrate(first, labels.slice(0, half));
      for (const { similarity, interval } of calibration.thresholds) {
        const observed = observedRate(second, labels.slice(half), similarity);
        all++;
        if (observed >= interval[0] && observed <= interval[1]) within++;
        expect(observed).toBeGreaterThan(interval[0] / 3);
        expect(observed).toBeLessThan(interval[1] * 3);
      }
      rows.dispose();
    }
    expect(all).toBeGreaterThanOrEqual(24);
    expect(within / all).toBeGreaterThan(0.75);
  });

  it('gives a probability that ascends and is what it says', () => {
    const { rows, labels } = classesOf(150, 6, 7);
    const calibration = calibrate(rows, labels);
    const { similarities, probabilities } = calibration.probability;
    for (const numbers of [similarities, probabilities])
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(matchProbability(calibration, 1)).toBeGreaterThan(0.99);
    expect(matchProbability(calibration, 1)).toBeLessThan(1);
    expect(matchProbability(calibration, -1)).toBeGreaterThan(0);
    // On other classes: among pairs that are said to be so probable, both kinds weighing the same, so many are of one class.
    const other = classesOf(150, 6, 8);
    const { same, different } = pairsOf(other.rows, other.labels);
    for (const [low, high] of [
      [0.05, 0.3],
      [0.3, 0.7],
      [0.7, 0.95],
    ] as const) {
      const said = (cosine: number) => matchProbability(calibration, cosine);
      const isIn = (cosine: number) => said(cosine) >= low && said(cosine) < high;
      const a = same.filter(isIn);
      const b = different.filter(isIn);
      const [weightA, weightB] = [a.length / same.length, b.length / different.length];
      const mean =
        (a.reduce((sum, cosine) => sum + said(cosine), 0) / same.length +
          b.reduce((sum, cosine) => sum + said(cosine), 0) / different.length) /
        (weightA + weightB);
      expect(Math.abs(weightA / (weightA + weightB) - mean)).toBeLessThan(0.05);
    }
    // By another prior.
    const even = matchProbability(calibration, similarities[60]!);
    expect(matchProbability(calibration, similarities[60]!, 0.01)).toBeCloseTo(
      (even * 0.01) / (even * 0.01 + (1 - even) * 0.99),
      12,
    );
    rows.dispose();
    other.rows.dispose();
  });

  it('is refused where there is nothing to compare', () => {
    const { rows } = classesOf(4, 1, 1);
    expect(() => calibrate(rows, Int32Array.of(0, 1, 2, 3), { source: 'x' })).toThrow(
      /x: expected two classes or more, one of them with two images, to calibrate on; got 4 classes of 4 images/,
    );
    expect(() => calibrate(rows, Int32Array.of(0, 0, 0, 0))).toThrow(/got 1 classes of 4 images/);
    // All the same: no threshold tells them apart.
    using same = cat([rows.narrow(0, 0, 1), rows.narrow(0, 0, 1), rows.narrow(0, 0, 1)]);
    const { thresholds, refused } = calibrate(same, Int32Array.of(0, 0, 1));
    expect([thresholds.length, refused.length]).toEqual([0, 4]);
    rows.dispose();
  });
});

it('an open set of classes that lie apart is told apart, and one of noise is not', () => {
  const generator = new Generator(1);
  const labels = Int32Array.from({ length: 400 }, (_, i) => Math.floor(i / 4));
  using noise = scope(() => unitRows('test', randn([400, 8], { generator }), String));
  using centres = randn([100, 64], { generator });
  using apart = scope(() => {
    const rows = centres.reshape([100, 1, 64]).expand([100, 4, 64]).reshape([400, 64]);
    return unitRows('test', rows.add(randn([400, 64], { generator }).mul(0.1)), String);
  });
  const good = openSet(apart, labels)!;
  expect(good).toMatchObject({ known: 100, unknown: 200, auroc: 1 });
  expect(good.identified.map(({ share }) => share)).toEqual([1, 1]);
  const bad = openSet(noise, labels)!;
  expect(Math.abs(bad.auroc - 0.5)).toBeLessThan(0.12);
  expect(bad.identified[0]!.share).toBeLessThan(0.1);
  expect(openSet(noise, new Int32Array(400))).toBe(null);
});
