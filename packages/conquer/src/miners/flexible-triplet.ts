import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { type MiningBounds, usualBounds } from '../mining-bounds.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import type { Labelled, Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import type { Miner, MinerContext } from './miner.js';
import { positivesOf } from './positives.js';

/** Which of an anchor's positives: any, the nearest, the farthest. */
export const positiveChoices = ['random', 'easy', 'hard'] as const;

/**
 * Which of an anchor's negatives: any, the nearest of those that are farther than the positive but within the
 * margin of it, the nearest of all.
 */
export const negativeChoices = ['random', 'semihard', 'hard'] as const;

const semihardOptions = z.strictObject({
  margin: z
    .number()
    .min(0)
    .nullable()
    .default(null)
    .describe("how much farther than the positive a negative may be; null: as the loss's margin"),
});

const options = semihardOptions.extend({
  positive: z.enum(positiveChoices).describe("which of an anchor's positives"),
  negative: z.enum(negativeChoices).describe("which of an anchor's negatives"),
});

export interface FlexibleTripletOptions extends z.input<typeof options> {
  /** Draws what is chosen at random. */
  random: Random;
  /** Tells how much farther than the positive a semihard negative may be. */
  loss?: MiningBounds;
}

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
  readonly #random: Random;

  constructor({ random, loss = usualBounds, ...given }: FlexibleTripletOptions) {
    const { positive, negative, margin } = withDefaults('FlexibleTripletMiner', options, given);
    this.positive = positive;
    this.negative = negative;
    this.margin = margin ?? loss.semihardMargin();
    this.#random = random;
  }

  mine(anchors: Rows, reference: Rows = anchors): Tuples {
    checkPair('triplet miner', anchors, reference);
    return this.choose(distanceMatrix(anchors.embeddings, reference.embeddings), anchors, reference);
  }

  /** Chooses by distances that are there. @param distances (A, N), row-major */
  choose(distances: Float64Array, of: Labelled, reference: Labelled = of): Tuples {
    const size = reference.labels.length;
    const anchors: number[] = [];
    const positives: number[] = [];
    const negatives: number[] = [];
    for (const [anchor, label] of of.labels.entries()) {
      const row = distances.subarray(anchor * size, (anchor + 1) * size);
      const positive = this.choosePositive(row, positivesOf(anchor, of, reference));
      if (positive === undefined) continue;
      const others = Array.from(reference.labels.keys()).filter((image) => reference.labels[image] !== label);
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
    return candidates.length === 0 ? undefined : candidates[this.#random.int(candidates.length)];
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

const positiveWords = { random: 'any positive', easy: 'the nearest positive', hard: 'the farthest positive' };
const negativeWords = {
  random: 'any negative',
  semihard: 'the nearest negative beyond it within the margin',
  hard: 'the nearest negative',
};

const inWords = (positive: keyof typeof positiveWords, negative: keyof typeof negativeWords) =>
  `a triplet for each anchor: ${positiveWords[positive]}, ${negativeWords[negative]}`;

/** One for each rule of positives and negatives; only the semihard ones have a margin. */
export const flexibleTriplets = positiveChoices.flatMap((positive) => [
  ...(['random', 'hard'] as const).map((negative) =>
    part({
      name: `${positive}-${negative}`,
      help: inWords(positive, negative),
      options: z.strictObject({}),
      build: (_, { random }: MinerContext) => new FlexibleTripletMiner({ positive, negative, random }),
    }),
  ),
  part({
    name: `${positive}-semihard`,
    help: inWords(positive, 'semihard'),
    options: semihardOptions,
    build: (options, { random, loss }: MinerContext) =>
      new FlexibleTripletMiner({ ...options, positive, negative: 'semihard', random, loss }),
  }),
]);
