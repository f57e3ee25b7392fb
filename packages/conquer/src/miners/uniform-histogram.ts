import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import type { Rows } from '../rows.js';
import type { Pairs } from '../tuples.js';
import { forEachPair, PairList } from './all-pairs.js';
import type { Miner, MinerContext } from './miner.js';

const options = z.strictObject({
  numBins: z
    .int()
    .min(1)
    .max(10_000)
    .default(100)
    .describe('intervals of equal width, from the least distance to the largest'),
  posPerBin: z.int().min(1).max(1000).default(10).describe('positive pairs drawn of each that has any'),
  negPerBin: z.int().min(1).max(1000).default(10).describe('negative pairs drawn of each that has any'),
});

export interface UniformHistogramOptions extends z.input<typeof options> {
  random: Random;
}

/**
 * Pairs spread evenly over the distances there are: the distances of each kind fall into intervals, and of each that has any
 * so many are drawn, with replacement.
 */
export class UniformHistogramMiner implements Miner {
  readonly numBins: number;
  readonly posPerBin: number;
  readonly negPerBin: number;
  readonly #random: Random;

  constructor({ random, ...given }: UniformHistogramOptions) {
    const { numBins, posPerBin, negPerBin } = withDefaults('UniformHistogramMiner', options, given);
    this.numBins = numBins;
    this.posPerBin = posPerBin;
    this.negPerBin = negPerBin;
    this.#random = random;
  }

  mine(anchors: Rows, reference: Rows = anchors): Pairs {
    checkPair('uniform-histogram miner', anchors, reference, true);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings, 0);
    const size = reference.labels.length;
    const [positives, negatives]: [number[], number[]] = [[], []];
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      (isPositive ? positives : negatives).push(anchor * size + row);
    });
    const found = new PairList();
    const draw = (isPositive: boolean, places: number[], count: number) => {
      for (const bin of inBins(places, distances, this.numBins)) {
        for (let i = 0; i < count; i++) {
          const place = bin[this.#random.int(bin.length)]!;
          found.add(isPositive, Math.floor(place / size), place % size);
        }
      }
    };
    draw(true, positives, this.posPerBin);
    draw(false, negatives, this.negPerBin);
    return found.pairs();
  }
}

/** Places in a matrix of distances by the interval of theirs; intervals with none are left out. */
export function inBins(places: readonly number[], distances: Float64Array, numBins: number): number[][] {
  let [least, most] = [Infinity, -Infinity];
  for (const place of places) {
    least = Math.min(least, distances[place]!);
    most = Math.max(most, distances[place]!);
  }
  const bins: number[][] = Array.from({ length: numBins }, () => []);
  for (const place of places) {
    const share = (distances[place]! - least) / (most - least);
    // The largest is in the last; so is everything where all are equal.
    bins[share < 1 ? Math.floor(share * numBins) : numBins - 1]!.push(place);
  }
  return bins.filter(({ length }) => length > 0);
}

export const uniformHistogram = part({
  name: 'uniform-histogram',
  help: 'pairs drawn evenly over the distances that there are',
  differs: "draws as pytorch-metric-learning's does, by another generator",
  options,
  build: (options, { random }: MinerContext) => new UniformHistogramMiner({ ...options, random }),
});
