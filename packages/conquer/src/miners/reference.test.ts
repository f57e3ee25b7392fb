import { F, Generator, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows, countPairs, type Rows } from '../rows.js';
import { asPairs } from '../tuples.js';
import { DistanceWeightedMiner, negativesPerAnchor, negativeWeights } from './distance-weighted.js';
import type { MinerPart } from './miner.js';
import { miners } from './miners.js';
import { positivesOf } from './positives.js';

// A batch compared with others, itself in another order, and an earlier embedding of one of its images.
const generator = new Generator(3);
const unit = (rows: number) => F.normalize(randn([rows, 4], { dtype: 'float64', generator }));
const anchors = batchRows(unit(8), Int32Array.of(0, 0, 0, 1, 1, 1, 2, 2));
const order = [7, 2, 0, 5, 1, 3, 6, 4];
const reference: Rows = {
  embeddings: tensor(
    [
      ...(unit(6).tolist() as number[][]),
      ...order.map((row) => (anchors.embeddings.tolist() as number[][])[row]!),
      ...(unit(1).tolist() as number[][]),
    ],
    { dtype: 'float64' },
  ),
  labels: Int32Array.of(0, 1, 2, 3, 1, 2, ...order.map((row) => anchors.labels[row]!), 0),
  imageIds: Int32Array.of(100, 101, 102, 103, 104, 105, ...order, 0),
};
const distances = distanceMatrix(anchors.embeddings, reference.embeddings);
const at = (anchor: number, row: number) => distances[anchor * reference.labels.length + row]!;

describe.each(miners.map((miner) => [miner.name, miner as MinerPart] as const))('miner %s', (name, miner) => {
  const make = (seed: number) =>
    miner.build(withDefaults('miner', miner.options, name === 'pair-margin' ? { negMargin: 1.5 } : {}), {
      loss: { zeroLossDistance: () => 1.4, semihardMargin: () => 0.5 },
      random: new Random(seed),
      compat: null,
    });

  it('finds the same in the batch and in a copy of it', () => {
    for (let seed = 0; seed < 20; seed++)
      expect(make(seed).mine(anchors, { ...anchors })).toEqual(make(seed).mine(anchors, anchors));
  });

  it('finds positives that are other images, and negatives, among all of a reference set', () => {
    const [positives, negatives] = [new Set<string>(), new Set<string>()];
    for (let seed = 0; seed < 100; seed++) {
      const found = asPairs(make(seed).mine(anchors, reference));
      expect(found.positives.length).toBeGreaterThan(3);
      for (const [i, p] of found.positives.entries()) positives.add(`${found.positiveAnchors[i]} ${p}`);
      for (const [i, n] of found.negatives.entries()) negatives.add(`${found.negativeAnchors[i]} ${n}`);
    }
    const listed = (pairs: Set<string>) =>
      [...pairs].map((pair) => pair.split(' ').map(Number) as [number, number]);
    const [, positive, negative] = /^(random|easy|hard|batch)-(random|semihard|hard)$/.exec(name) ?? [];
    for (const [anchor, p] of listed(positives)) {
      const own = positivesOf(anchor, anchors, reference);
      expect(own).toContain(p);
      expect(reference.imageIds[p]).not.toBe(anchors.imageIds[anchor]);
      expect(reference.labels[p]).toBe(anchors.labels[anchor]);
      if (positive === 'hard' || positive === 'batch')
        expect(at(anchor, p)).toBe(Math.max(...own.map((row) => at(anchor, row))));
    }
    for (const [anchor, n] of listed(negatives)) {
      expect(reference.labels[n]).not.toBe(anchors.labels[anchor]);
      const others = [...reference.labels.keys()].filter(
        (row) => reference.labels[row] !== anchors.labels[anchor],
      );
      if (negative === 'hard') expect(at(anchor, n)).toBe(Math.min(...others.map((row) => at(anchor, row))));
    }
    const seen = listed(positives).map(([, row]) => row);
    const used = listed(negatives).map(([, row]) => row);
    // Beyond what the batch alone has.
    expect(Math.min(...seen)).toBeLessThan(6);
    expect(Math.min(...used)).toBeLessThan(6);
  });

  it('refuses a reference set that is not finite, and says where', () => {
    const numbers = reference.embeddings.tolist() as number[][];
    numbers[3]![1] = NaN;
    const broken = { ...reference, embeddings: tensor(numbers, { dtype: 'float64' }) };
    expect(() => make(1).mine(anchors, broken)).toThrow(/row 3 of the reference set/);
  });
});

describe('distance-weighted', () => {
  it('weighs a row of the reference set by its distance, wherever it stands', () => {
    const bounds = { cutoff: 0.5, nonZeroLossCutoff: 1.4 };
    const within = negativeWeights(anchors, anchors, bounds);
    const moved = {
      embeddings: tensor(
        order.map((row) => (anchors.embeddings.tolist() as number[][])[row]!),
        { dtype: 'float64' },
      ),
      labels: Int32Array.from(order, (row) => anchors.labels[row]!),
      imageIds: Int32Array.from(order),
    };
    const weights = negativeWeights(anchors, moved, bounds);
    for (let anchor = 0; anchor < 8; anchor++)
      for (const [place, row] of order.entries())
        expect(weights[anchor * 8 + place]).toBeCloseTo(within[anchor * 8 + row]!, 10);
  });

  it('draws as many negatives as an anchor has positives on average', () => {
    const { positives } = countPairs(anchors, reference);
    expect([...positives]).toEqual([3, 4, 4, 4, 4, 4, 3, 3]);
    expect(negativesPerAnchor(anchors, reference)).toBe(4);
    const { anchors: rows } = new DistanceWeightedMiner({ random: new Random(1) }).mine(anchors, reference);
    expect(rows.length).toBe(8 * 4);
  });
});
