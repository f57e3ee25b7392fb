import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import { areAlike, type Rows } from '../rows.js';
import type { Mined, Pairs, Tuples } from '../tuples.js';
import { PairList } from './all-pairs.js';
import type { Miner } from './miner.js';

const range = z
  .tuple([z.number().min(0), z.number().min(0)])
  .nullable()
  .default(null);

const options = z.strictObject({
  positive: z
    .enum(['easy', 'semihard', 'hard', 'all'])
    .default('easy')
    .describe(
      'of an anchor: the nearest, the farthest that is nearer than its negative, the farthest, or all',
    ),
  negative: z
    .enum(['easy', 'semihard', 'hard', 'all'])
    .default('semihard')
    .describe('of an anchor: the farthest, the nearest beyond its positive, the nearest, or all'),
  positiveRange: range.describe('least and largest distance of a positive; null: any'),
  negativeRange: range.describe('least and largest distance of a negative; null: any'),
});

export type BatchEasyHardOptions = z.input<typeof options>;
type Strategy = z.output<typeof options>['positive'];
type Range = [number, number] | null;

/**
 * One tuple for each anchor, of its most extreme images, without any chance (Xuan, Stylianou, Liu, Pless, "Improved
 * embeddings with easy positive triplet mining", WACV 2020; batch hard: Hermans, Beyer, Leibe, arXiv 1703.07737). Of equal
 * distances the first image is taken. An anchor without such a positive or negative is skipped. With all of a kind it gives
 * pairs: all of that kind, whatever their distance, and those of the anchors that have the other.
 */
export class BatchEasyHardMiner implements Miner {
  readonly positive: Strategy;
  readonly negative: Strategy;
  readonly positiveRange: Range;
  readonly negativeRange: Range;

  constructor(given: BatchEasyHardOptions = {}) {
    const all = withDefaults('BatchEasyHardMiner', options, given);
    const [bySemihard] = [all.positive, all.negative].filter((strategy) => strategy === 'semihard');
    const other = all.positive === 'semihard' ? all.negative : all.positive;
    if (bySemihard && (other === 'semihard' || other === 'all')) {
      throw new OptionError(
        'positive',
        `semihard means by the other of the two: expected easy or hard beside it, got '${other}'`,
        'BatchEasyHardMiner',
      );
    }
    this.positive = all.positive;
    this.negative = all.negative;
    this.positiveRange = all.positiveRange;
    this.negativeRange = all.negativeRange;
  }

  mine(anchors: Rows, reference: Rows = anchors): Mined {
    checkPair('batch-easy-hard miner', anchors, reference, true);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings, 0);
    const size = reference.labels.length;
    const ofAnchor = Array.from(anchors.labels, (_, anchor) => {
      const row = distances.subarray(anchor * size, (anchor + 1) * size);
      const positives: number[] = [];
      const negatives: number[] = [];
      for (let other = 0; other < size; other++) {
        if (reference.imageIds[other] === anchors.imageIds[anchor]) continue;
        (areAlike(anchors, anchor, reference, other) ? positives : negatives).push(other);
      }
      return { anchor, row, positives, negatives };
    });
    const isAll = this.positive === 'all' || this.negative === 'all';
    return isAll ? this.pairs(ofAnchor) : this.tuples(ofAnchor);
  }

  private tuples(ofAnchor: Candidates[]): Tuples {
    const found = ofAnchor.flatMap(({ anchor, row, ...candidates }) => {
      const positives = within(row, candidates.positives, this.positiveRange);
      const negatives = within(row, candidates.negatives, this.negativeRange);
      const extreme = this.negative === 'easy' ? farthest(row, negatives) : nearest(row, negatives);
      if (extreme === null) return [];
      const positive = {
        easy: () => nearest(row, positives),
        semihard: () =>
          farthest(
            row,
            positives.filter((other) => row[other]! < row[extreme]!),
          ),
        hard: () => farthest(row, positives),
      }[this.positive as Exclude<Strategy, 'all'>]();
      if (positive === null) return [];
      const beyond = () => negatives.filter((other) => row[other]! > row[positive]!);
      const negative = this.negative === 'semihard' ? nearest(row, beyond()) : extreme;
      return negative === null ? [] : [[anchor, positive, negative] as const];
    });
    return {
      anchors: Int32Array.from(found, ([anchor]) => anchor),
      positives: Int32Array.from(found, ([, positive]) => positive),
      negatives: Int32Array.from(found, ([, , negative]) => negative),
    };
  }

  private pairs(ofAnchor: Candidates[]): Pairs {
    const found = new PairList();
    for (const { anchor, row, ...candidates } of ofAnchor) {
      const { positives, negatives } = candidates;
      const extremes = (
        strategy: Strategy,
        images: number[],
        [near, far]: [Strategy, Strategy],
        range: Range,
      ) => {
        if (strategy === 'all') return images;
        const pick = { [near]: nearest, [far]: farthest }[strategy]!;
        const picked = pick(row, within(row, images, range));
        return picked === null ? [] : [picked];
      };
      for (const p of extremes(this.positive, positives, ['easy', 'hard'], this.positiveRange))
        found.add(true, anchor, p);
      for (const n of extremes(this.negative, negatives, ['hard', 'easy'], this.negativeRange))
        found.add(false, anchor, n);
    }
    return found.pairs();
  }
}

/** What an anchor can be paired with, and how far all rows are from it. */
interface Candidates {
  anchor: number;
  row: Float64Array;
  positives: number[];
  negatives: number[];
}

function within(distances: Float64Array, images: number[], range: Range): number[] {
  if (range === null) return images;
  const [least, most] = range;
  return images.filter((image) => distances[image]! >= least && distances[image]! <= most);
}

/** The first image at the least distance; null of none. */
function nearest(distances: Float64Array, images: readonly number[]): number | null {
  let found: number | null = null;
  for (const image of images) if (found === null || distances[image]! < distances[found]!) found = image;
  return found;
}

function farthest(distances: Float64Array, images: readonly number[]): number | null {
  let found: number | null = null;
  for (const image of images) if (found === null || distances[image]! > distances[found]!) found = image;
  return found;
}

export const batchEasyHard = part({
  name: 'batch-easy-hard',
  help: 'for each anchor its easiest or hardest positive and negative (Xuan et al. 2020)',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options,
  build: (options) => new BatchEasyHardMiner(options),
});
