import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';

const options = z.strictObject({
  positive: z
    .enum(['easy', 'semihard', 'hard'])
    .default('easy')
    .describe(
      'positive of an anchor: the nearest, the farthest that is nearer than its negative, or the farthest',
    ),
  negative: z
    .enum(['easy', 'semihard', 'hard'])
    .default('semihard')
    .describe('negative of an anchor: the farthest, the nearest beyond its positive, or the nearest'),
});

export type BatchEasyHardOptions = z.input<typeof options>;

/**
 * One tuple for each anchor, of its most extreme images, without any chance (Xuan, Stylianou, Liu, Pless, "Improved
 * embeddings with easy positive triplet mining", WACV 2020; batch hard: Hermans, Beyer, Leibe, arXiv 1703.07737). Of equal
 * distances the first image is taken. An anchor without such a positive or negative is skipped.
 */
export class BatchEasyHardMiner implements Miner {
  readonly positive: 'easy' | 'semihard' | 'hard';
  readonly negative: 'easy' | 'semihard' | 'hard';

  constructor(given: BatchEasyHardOptions = {}) {
    const { positive, negative } = withDefaults('BatchEasyHardMiner', options, given);
    if (positive === 'semihard' && negative === 'semihard') {
      throw new OptionError(
        'positive',
        "semihard means by the other of the two: expected easy or hard beside a semihard negative, got 'semihard'",
        'BatchEasyHardMiner',
      );
    }
    this.positive = positive;
    this.negative = negative;
  }

  mine(anchors: Rows, reference: Rows = anchors): Tuples {
    checkPair('batch-easy-hard miner', anchors, reference);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings);
    const size = reference.labels.length;
    const tuples: [anchor: number, positive: number, negative: number][] = [];
    for (const [anchor, label] of anchors.labels.entries()) {
      const row = distances.subarray(anchor * size, (anchor + 1) * size);
      const images = [...reference.labels.keys()].filter(
        (other) => reference.imageIds[other] !== anchors.imageIds[anchor],
      );
      const positives = images.filter((other) => reference.labels[other] === label);
      const negatives = images.filter((other) => reference.labels[other] !== label);
      const extreme = this.negative === 'easy' ? farthest(row, negatives) : nearest(row, negatives);
      if (extreme === null) continue;
      const nearer = positives.filter((other) => row[other]! < row[extreme]!);
      const positive = {
        easy: () => nearest(row, positives),
        semihard: () => farthest(row, nearer),
        hard: () => farthest(row, positives),
      }[this.positive]();
      if (positive === null) continue;
      const beyond = negatives.filter((other) => row[other]! > row[positive]!);
      const negative = this.negative === 'semihard' ? nearest(row, beyond) : extreme;
      if (negative !== null) tuples.push([anchor, positive, negative]);
    }
    return {
      anchors: Int32Array.from(tuples, ([anchor]) => anchor),
      positives: Int32Array.from(tuples, ([, positive]) => positive),
      negatives: Int32Array.from(tuples, ([, , negative]) => negative),
    };
  }
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
  options,
  build: (options) => new BatchEasyHardMiner(options),
});
