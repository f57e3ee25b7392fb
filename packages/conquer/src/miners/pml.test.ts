import { readFileSync } from 'node:fs';
import { F, Generator, randn, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';
import { asPairs, asTuples } from '../tuples.js';
import type { MinerPart } from './miner.js';
import { miners } from './miners.js';
import { inBins, UniformHistogramMiner } from './uniform-histogram.js';

interface Case {
  embeddings: number[][];
  labels: number[];
  miners: { name: string; options: Record<string, unknown>; found: number[][] }[];
}
const file = new URL('../../test/fixtures/pml.json', import.meta.url);
const cases = (JSON.parse(readFileSync(file, 'utf8')) as { miners: Case[] }).miners;

/** Columns as rows, sorted: of which tuples, whatever their order. */
const sorted = (columns: ArrayLike<number>[]) =>
  Array.from(columns[0]!, (_, i) => columns.map((column) => column[i]!).join(' ')).sort();

const all = cases.flatMap(({ embeddings, labels, miners: found }) =>
  found.map((one) => ({ ...one, rows: { embeddings, labels } })),
);

it.each(all)(
  '$name $options of $rows.labels finds what pytorch-metric-learning does',
  ({ name, options, found, rows }) => {
    const part: MinerPart = miners.find((miner) => miner.name === name)!;
    const context = {
      loss: { zeroLossDistance: () => 1.4, semihardMargin: () => 0.2 },
      random: new Random(1),
      compat: null,
    };
    const batch = batchRows(tensor(rows.embeddings, { dtype: 'float64' }), Int32Array.from(rows.labels));
    const got = part.build(withDefaults('miner', part.options, options), context).mine(batch, batch);
    // Of four lists pairs; of three, or the same anchors twice, tuples.
    const isTuples = found.length === 3 || 'anchors' in got;
    if (isTuples) {
      const { anchors, positives, negatives } = asTuples(got);
      const [a, p] = found as [number[], number[]];
      expect(sorted([anchors, positives, negatives])).toEqual(sorted([a, p, found.at(-1)!]));
      return;
    }
    const { positiveAnchors, positives, negativeAnchors, negatives } = asPairs(got);
    const [a1, p, a2, n] = found as [number[], number[], number[], number[]];
    // A pair and its reverse are equally far; at the cut either may be left out.
    const one = (anchors: ArrayLike<number>, rows: ArrayLike<number>) =>
      name === 'hdc'
        ? sorted([
            Array.from(anchors, (a, i) => Math.min(a, rows[i]!)),
            Array.from(anchors, (a, i) => Math.max(a, rows[i]!)),
          ])
        : sorted([anchors, rows]);
    expect(one(positiveAnchors, positives)).toEqual(one(a1, p));
    expect(one(negativeAnchors, negatives)).toEqual(one(a2, n));
  },
);

describe('uniform-histogram', () => {
  const x = F.normalize(randn([20, 4], { dtype: 'float64', generator: new Generator(2) }));
  const labels = Int32Array.from({ length: 20 }, (_, i) => i % 4);

  it('draws as many pairs of each interval of distances that has any, evenly', () => {
    const miner = new UniformHistogramMiner({
      numBins: 7,
      posPerBin: 3,
      negPerBin: 200,
      random: new Random(1),
    });
    const found = asPairs(miner.mine(batchRows(x, labels)));
    const distances = distanceMatrix(x, x, 0);
    for (const [same, count, from, to] of [
      [true, 3, found.positiveAnchors, found.positives],
      [false, 200, found.negativeAnchors, found.negatives],
    ] as const) {
      const places = [...distances.keys()].filter((place) => {
        const [i, j] = [Math.floor(place / 20), place % 20];
        return i !== j && (labels[i] === labels[j]) === same;
      });
      const bins = inBins(places, distances, 7);
      const binOf = new Map(bins.flatMap((bin, index) => bin.map((place) => [place, index] as const)));
      const drawn = new Map<number, number>();
      const pairs = new Map<number, number>();
      for (const [i, anchor] of from.entries()) {
        const place = anchor * 20 + to[i]!;
        drawn.set(binOf.get(place)!, (drawn.get(binOf.get(place)!) ?? 0) + 1);
        pairs.set(place, (pairs.get(place) ?? 0) + 1);
      }
      expect([...drawn.keys()].sort()).toEqual([...bins.keys()]);
      expect(new Set(drawn.values())).toEqual(new Set([count]));
      if (same) continue;
      // Each pair of an interval is as likely as another.
      for (const [place, times] of pairs) {
        const wanted = count / bins[binOf.get(place)!]!.length;
        expect(Math.abs(times - wanted)).toBeLessThan(6 * Math.sqrt(wanted) + 3);
      }
    }
  });

  it('puts equal distances into one interval', () => {
    const miner = new UniformHistogramMiner({ posPerBin: 2, negPerBin: 2, random: new Random(1) });
    const same = tensor(Array.from({ length: 4 }, () => [1, 0]));
    expect(asPairs(miner.mine(batchRows(same, Int32Array.of(0, 0, 1, 1)))).positives.length).toBe(2);
  });
});
