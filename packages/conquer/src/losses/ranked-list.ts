import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { type DistanceName, distanceOption, distances, trueDistances } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { pairMasks } from './pair-masks.js';

const options = z.strictObject({
  alpha: z.number().min(0).default(1.2).describe('α: how far negatives are to be'),
  margin: z.number().min(0).default(0.4).describe('m: positives are to be nearer than α by this'),
  positiveTemperature: z
    .number()
    .min(0)
    .default(0)
    .describe('how much more far positives weigh; 0: all the same'),
  negativeTemperature: z.number().min(0).default(10).describe('how much more near negatives weigh'),
  negativeShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("the negatives' share of the loss; the rest is the positives'"),
  distance: distanceOption('euclidean', trueDistances),
});

export type RankedListOptions = z.input<typeof options>;

/** Added to a sum of weights for each row of the reference set, so that it is never 0. */
const LEAST_WEIGHT = 1e-5;

/**
 * Ranked list loss (Wang, Hua, Kodirov, Hu, Garnier, Robertson, "Ranked list loss for deep metric learning", CVPR 2019):
 * of the positives farther than α - m the mean of d - (α - m), weighed by exp(T⁺ (d - (α - m))), of the negatives nearer
 * than α the mean of α - d, weighed by exp(T⁻ (α - d)); the mean over the anchors.
 */
export class RankedListLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly alpha: number;
  readonly margin: number;
  readonly positiveTemperature: number;
  readonly negativeTemperature: number;
  readonly negativeShare: number;
  readonly distance: DistanceName;

  constructor(given: RankedListOptions = {}) {
    super();
    const all = withDefaults('RankedListLoss', options, given);
    this.alpha = all.alpha;
    this.margin = all.margin;
    this.positiveTemperature = all.positiveTemperature;
    this.negativeTemperature = all.negativeTemperature;
    this.negativeShare = all.negativeShare;
    this.distance = all.distance;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether there is any pair. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    const { positives, negatives } = countPairs(anchors, reference);
    return positives.some((count, anchor) => count > 0 || negatives[anchor]! > 0);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    return scope(() => {
      const { positives, negatives } = pairMasks('ranked-list loss', anchors, reference);
      const between = distances[this.distance].between(anchors.embeddings, reference.embeddings);
      const far = between.sub(this.alpha - this.margin);
      const near = between.neg().add(this.alpha);
      const mean = (beyond: Tensor, pairs: Tensor, temperature: number) => {
        const counted = beyond.detach().gt(0).logicalAnd(pairs);
        const weights =
          temperature === 0
            ? counted.to(beyond.dtype)
            : beyond.mul(counted).mul(temperature).exp().mul(counted);
        const total = weights.sum(1).add(reference.labels.length * LEAST_WEIGHT);
        return weights.mul(beyond).sum(1).div(total);
      };
      const ofPositives = mean(far, positives, this.positiveTemperature);
      const ofNegatives = mean(near, negatives, this.negativeTemperature);
      return ofPositives
        .mul(1 - this.negativeShare)
        .add(ofNegatives.mul(this.negativeShare))
        .mean();
    });
  }
}

export const rankedList = lossPart({
  name: 'ranked-list',
  help: 'positives within one distance, negatives beyond another, weighed by hardness (Wang et al. 2019)',
  usesTuples: false,
  learns: false,
  differs: 'as pytorch-metric-learning; a negative at distance 0 counts here',
  options,
  build: (options) => new RankedListLoss(options),
});
