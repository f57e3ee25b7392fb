import { aten, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { classMembers } from './class-members.js';
import { type DistanceName, distanceOption, distances, trueDistances } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { notNegative } from './pair-masks.js';

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
      const alike = notNegative('ranked-list loss', anchors, reference);
      const between = distances[this.distance].between(anchors.embeddings, reference.embeddings);
      const { rows, present } = classMembers(anchors, reference, false);
      const far = between.gather(1, rows).sub(this.alpha - this.margin);
      const farLeftOut = noGrad(() => far.le(0).logicalOr(present.logicalNot()));
      const near = aten.rsub$Scalar(between, this.alpha, 1);
      const nearLeftOut = noGrad(() => near.le(0).logicalOr(alike));
      const least = reference.labels.length * LEAST_WEIGHT;
      const ofPositives = weighedMean(far, farLeftOut, this.positiveTemperature, least);
      const ofNegatives = weighedMean(near, nearLeftOut, this.negativeTemperature, least);
      return ofPositives
        .mul(1 - this.negativeShare)
        .add(ofNegatives.mul(this.negativeShare))
        .mean();
    });
  }
}

/** Of each row the mean of x, weighed by exp(T x): (A, N), (A, N) bool of what is left out → (A,). */
function weighedMean(x: Tensor, leftOut: Tensor, temperature: number, least: number): Tensor {
  const weights =
    temperature === 0 ? leftOut.logicalNot().to(x.dtype) : x.mul(temperature).exp().maskedFill(leftOut, 0);
  return weights.mul(x).sum(1).div(weights.sum(1).add(least));
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
