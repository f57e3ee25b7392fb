import type { Tensor } from '@conquer/torch';
import { checkBatch } from '../batch-labels.js';
import { distanceMatrix } from '../distances/pairwise.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Random } from '../random.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';
import { positivesOf } from './positives.js';

/** Which of an anchor's positives: any, the nearest, the farthest. */
export const positiveChoices = ['random', 'easy', 'hard'] as const;

/**
 * Which of an anchor's negatives: any, the nearest of those that are farther than the positive but within the
 * margin of it, the nearest of all.
 */
export const negativeChoices = ['random', 'semihard', 'hard'] as const;

export interface FlexibleTripletOptions {
  positive: (typeof positiveChoices)[number];
  negative: (typeof negativeChoices)[number];
  /** How much farther than the positive a semihard negative may be. Default 0.2. */
  margin?: number;
  /** Draws what is chosen at random. */
  random: Random;
}

/** All of its options. */
const optionNames: OptionNames<FlexibleTripletOptions> = {
  positive: true,
  negative: true,
  margin: true,
  random: true,
};

/**
 * One triplet for each anchor, by a rule for its positive and one for its negative: hard positives with hard
 * negatives as in batch-hard (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017), semihard negatives of
 * FaceNet (CVPR 2015), easy positives with hard or semihard negatives (Xuan, Stylianou, Pless, "Improved embeddings
 * with easy positive triplet mining", WACV 2020), and the rest.
 *
 * An anchor without a positive, or without a negative that the rule allows, is skipped.
 */
export class FlexibleTripletMiner implements Miner {
  readonly positive: FlexibleTripletOptions['positive'];
  readonly negative: FlexibleTripletOptions['negative'];
  readonly margin: number;
  private readonly random: Random;

  constructor(options: FlexibleTripletOptions) {
    refuseUnknownOptions('FlexibleTripletMiner', options, optionNames);
    const { positive, negative, margin = 0.2, random } = options;
    this.positive = positive;
    this.negative = negative;
    this.margin = margin;
    this.random = random;
  }

  mine(embeddings: Tensor, labels: Int32Array): Tuples {
    checkBatch('triplet miner', embeddings, labels);
    return this.choose(distanceMatrix(embeddings), labels);
  }

  /** Chooses by distances that are there. @param distances (B, B), row-major @param labels (B,) */
  choose(distances: Float64Array, labels: Int32Array): Tuples {
    const size = labels.length;
    const anchors: number[] = [];
    const positives: number[] = [];
    const negatives: number[] = [];
    for (let anchor = 0; anchor < size; anchor++) {
      const row = distances.subarray(anchor * size, (anchor + 1) * size);
      const positive = this.choosePositive(row, positivesOf(anchor, labels));
      if (positive === undefined) continue;
      const others = Array.from(labels.keys()).filter((image) => labels[image] !== labels[anchor]);
      const negative = this.chooseNegative(row, others, row[positive] as number);
      if (negative === undefined) continue;
      anchors.push(anchor);
      positives.push(positive);
      negatives.push(negative);
    }
    return {
      anchors: Int32Array.from(anchors),
      positives: Int32Array.from(positives),
      negatives: Int32Array.from(negatives),
    };
  }

  private choosePositive(row: Float64Array, candidates: number[]): number | undefined {
    if (this.positive === 'random') return this.any(candidates);
    return this.positive === 'easy' ? nearest(row, candidates) : farthest(row, candidates);
  }

  private chooseNegative(row: Float64Array, candidates: number[], positive: number): number | undefined {
    switch (this.negative) {
      case 'random':
        return this.any(candidates);
      case 'hard':
        return nearest(row, candidates);
      case 'semihard': {
        const gap = (image: number) => (row[image] as number) - positive;
        return nearest(
          row,
          candidates.filter((image) => gap(image) > 0 && gap(image) < this.margin),
        );
      }
    }
  }

  private any(candidates: number[]): number | undefined {
    return candidates.length === 0 ? undefined : candidates[this.random.int(candidates.length)];
  }
}

/** The first of those at the least distance. */
function nearest(row: Float64Array, candidates: number[]): number | undefined {
  let best: number | undefined;
  for (const image of candidates) {
    if (best === undefined || (row[image] as number) < (row[best] as number)) best = image;
  }
  return best;
}

/** The first of those at the largest distance. */
function farthest(row: Float64Array, candidates: number[]): number | undefined {
  let best: number | undefined;
  for (const image of candidates) {
    if (best === undefined || (row[image] as number) > (row[best] as number)) best = image;
  }
  return best;
}
