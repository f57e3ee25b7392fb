import { F, liveTensors, manualSeed, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { usualBounds } from '../mining-bounds.js';
import { Random } from '../random.js';
import { batchRows, labelled } from '../rows.js';
import {
  DistanceWeightedMiner,
  drawWithoutReplacement,
  negativesPerAnchor,
  negativeWeights,
} from './distance-weighted.js';
import { positivesOf } from './positives.js';

function randomLabels(size: number, classes: number, random: Random): Int32Array {
  return Int32Array.from({ length: size }, () => random.int(classes));
}

describe('DistanceWeightedMiner', () => {
  it('pairs each anchor that has a positive with the wanted number of distinct negatives', () => {
    manualSeed(1);
    const random = new Random(1);
    for (let trial = 0; trial < 50; trial++) {
      const size = 2 + random.int(30);
      const labels = randomLabels(size, 1 + random.int(8), random);
      const embeddings = F.normalize(randn([size, 8]));
      const { anchors, positives, negatives } = new DistanceWeightedMiner({ random }).mine(
        batchRows(embeddings, labels),
      );
      expect(positives.length).toBe(anchors.length);
      expect(negatives.length).toBe(anchors.length);
      const wanted = negativesPerAnchor(labelled(labels), labelled(labels));
      for (let anchor = 0; anchor < size; anchor++) {
        const tuples = [...anchors.keys()].filter((i) => anchors[i] === anchor);
        const own = positivesOf(anchor, labelled(labels), labelled(labels));
        expect(tuples.length).toBe(own.length > 0 ? wanted : 0);
        expect(new Set(tuples.map((i) => negatives[i])).size).toBe(tuples.length);
        for (const i of tuples) expect(labels[negatives[i] as number]).not.toBe(labels[anchor]);
        for (const i of tuples) expect(own).toContain(positives[i]);
        // Positives repeat only where there are too few.
        if (own.length >= wanted) expect(new Set(tuples.map((i) => positives[i])).size).toBe(tuples.length);
      }
    }
  });

  it('has no tuple without a negative or without a positive', () => {
    const embeddings = F.normalize(randn([6, 4]));
    const mine = (labels: number[]) =>
      new DistanceWeightedMiner({ random: new Random(0) }).mine(
        batchRows(embeddings, Int32Array.from(labels)),
      ).anchors.length;
    expect(mine([1, 1, 1, 1, 1, 1])).toBe(0);
    expect(mine([1, 2, 3, 4, 5, 6])).toBe(0);
    expect(mine([1, 1, 3, 4, 5, 6])).toBe(2);
  });

  it('draws among negatives beyond the non-zero-loss cutoff only when there is nothing nearer', () => {
    const angle = (degrees: number) => [
      Math.cos((degrees * Math.PI) / 180),
      Math.sin((degrees * Math.PI) / 180),
    ];
    // Anchors at 0° and 1°, negatives at 60° (distance 1) and around 180° (distance 2).
    const embeddings = tensor([0, 1, 60, 180, 181, 182, 183, 184].map(angle));
    const labels = Int32Array.of(0, 0, 1, 2, 3, 4, 5, 6);
    const random = new Random(0);
    const usual = new DistanceWeightedMiner({ random });
    for (let trial = 0; trial < 100; trial++)
      expect([...usual.mine(batchRows(embeddings, labels)).negatives]).toEqual([2, 2]);
    const nearer = new DistanceWeightedMiner({ random, nonZeroLossCutoff: 0.9 });
    const drawn = new Set<number>();
    for (let trial = 0; trial < 100; trial++)
      for (const n of nearer.mine(batchRows(embeddings, labels)).negatives) drawn.add(n);
    expect(drawn.size).toBe(6);
    // A cutoff for each class of the anchor.
    const zeroLossDistance = () => (label: number) => (label === 0 ? 1.4 : 0);
    const byClass = new DistanceWeightedMiner({ random, loss: { ...usualBounds, zeroLossDistance } });
    expect([...byClass.mine(batchRows(embeddings, labels)).negatives]).toEqual([2, 2]);
  });

  it('asks the loss for the distance from which on a negative has none, batch by batch', () => {
    const labels = Int32Array.of(0, 0, 1, 2);
    const at = (angle: number) => [Math.cos(angle), Math.sin(angle)];
    const embeddings = tensor([at(0), at(0.01), at(1), at(-1.5)]);
    // The negatives are 0.96 and 1.36 away.
    let far = 1.2;
    const miner = new DistanceWeightedMiner({
      random: new Random(5),
      loss: { ...usualBounds, zeroLossDistance: () => far },
    });
    const drawn = () => {
      const found = Array.from({ length: 200 }, () => miner.mine(batchRows(embeddings, labels)));
      return new Set(found.flatMap(({ negatives }) => [...negatives]));
    };
    expect(drawn()).toEqual(new Set([2]));
    far = 1.9;
    expect(drawn()).toEqual(new Set([2, 3]));
  });

  it('never weighs a negative NaN or infinite, even opposite or equal points without cutoffs', () => {
    const labels = Int32Array.of(0, 1, 2);
    for (const dtype of ['float32', 'float64'] as const) {
      for (const dimensions of [2, 3, 64, 512]) {
        // The first and the last are one point, the second is opposite.
        const rows = [1, -1, 1].map((x) => [x, ...new Array<number>(dimensions - 1).fill(0)]);
        const batch = batchRows(tensor(rows, { dtype }), labels);
        const weights = negativeWeights(batch, batch, { cutoff: 0.01, nonZeroLossCutoff: Infinity });
        expect([...weights].every(Number.isFinite)).toBe(true);
        expect(weights[1]).toBeGreaterThan(0);
      }
    }
  });

  it('refuses embeddings that are not finite, and says where', () => {
    for (const value of [NaN, Infinity]) {
      const embeddings = tensor([
        [1, 0],
        [0, 1],
        [0, value],
        [1, 0],
      ]);
      const miner = new DistanceWeightedMiner({ random: new Random(0) });
      expect(() => miner.mine(batchRows(embeddings, Int32Array.of(0, 0, 1, 1)))).toThrow(
        /row 2 of the batch/,
      );
    }
  });

  it('gives the same tuples for the same seed, and keeps no tensor', () => {
    const embeddings = F.normalize(randn([20, 8])).requiresGrad_();
    const labels = Int32Array.from({ length: 20 }, (_, i) => i >> 2);
    const before = liveTensors();
    const mine = (seed: number) =>
      new DistanceWeightedMiner({ random: new Random(seed) }).mine(batchRows(embeddings, labels));
    expect(mine(1)).toEqual(mine(1));
    expect(mine(1)).not.toEqual(mine(2));
    expect(liveTensors()).toBe(before);
  });
});

describe('drawWithoutReplacement', () => {
  it('draws in proportion to the weights, one after another', () => {
    const weights = Float64Array.of(1, 0, 2, 5);
    const random = new Random(7);
    const trials = 40_000;
    const counts = new Map<string, number>();
    for (let trial = 0; trial < trials; trial++) {
      const key = drawWithoutReplacement(weights.slice(), 2, random).join();
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    // P({a, b}) = P(a) P(b | not a) + P(b) P(a | not b)
    const pair = (a: number, b: number) => (a / 8) * (b / (8 - a)) + (b / 8) * (a / (8 - b));
    expect([...counts.keys()].sort()).toEqual(['0,2', '0,3', '2,3']);
    expect((counts.get('0,2') as number) / trials).toBeCloseTo(pair(1, 2), 2);
    expect((counts.get('0,3') as number) / trials).toBeCloseTo(pair(1, 5), 2);
    expect((counts.get('2,3') as number) / trials).toBeCloseTo(pair(2, 5), 2);
  });

  it('draws from many as well, none twice', () => {
    const weights = Float64Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? 0 : i));
    const random = new Random(8);
    const counts = new Float64Array(100);
    for (let trial = 0; trial < 20_000; trial++)
      for (const i of drawWithoutReplacement(weights.slice(), 1, random)) counts[i]!++;
    const total = weights.reduce((sum, weight) => sum + weight);
    for (let i = 0; i < 100; i++)
      expect(Math.abs((counts[i] as number) / 20_000 - (weights[i] as number) / total)).toBeLessThan(0.006);
    const all = drawWithoutReplacement(weights.slice(), 100, random);
    expect(all).toEqual([...weights.keys()].filter((i) => i % 3 !== 0));
  });

  it('gives fewer where fewer have a weight', () => {
    expect(drawWithoutReplacement(Float64Array.of(0, 3, 0), 2, new Random(0))).toEqual([1]);
  });
});

describe('negativesPerAnchor', () => {
  it('is the rounded mean number of positives, within what the batch can give', () => {
    const of = (...labels: number[]) => {
      const batch = labelled(Int32Array.from(labels));
      return negativesPerAnchor(batch, batch);
    };
    expect(of(0, 0, 0, 0, 1, 1, 1, 1)).toBe(3);
    expect(of(0, 0, 0, 0, 0, 1)).toBe(1);
    expect(of(0, 1, 2)).toBe(1);
    expect(of(0, 0)).toBe(0);
  });
});
