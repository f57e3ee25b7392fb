import { aten, noGrad, scope, type Tensor } from '@conquer/torch';
import { z } from 'zod';
import { pairwiseDistances } from '../distances/pairwise.js';
import { part, withDefaults } from '../part.js';
import { Loss } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.2).describe('how much farther than the positive a negative has to be'),
  soft: z
    .boolean()
    .default(false)
    .describe('log(1 + exp(d_ap - d_an)) instead of the hinge; the margin is not used'),
});

export type TripletSemihardOptions = z.input<typeof options>;

/**
 * Triplet loss with semi-hard negatives (Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015): each positive
 * pair of the batch meets the nearest negative that is farther from the anchor than the positive, or where
 * there is none the farthest negative. The mean over all positive pairs. As dcesml's TripletSemihardLoss.
 * Distances are those of `pairwiseDistances`. Memory is B³ numbers.
 */
export class TripletSemihardLoss extends Loss {
  readonly usesTuples = false;
  readonly margin: number;
  readonly soft: boolean;

  constructor(given: TripletSemihardOptions = {}) {
    super();
    const { margin, soft } = withDefaults('TripletSemihardLoss', options, given);
    this.margin = margin;
    this.soft = soft;
  }

  /** Whether there is a class with two images, and another class. */
  override hasEnough(labels: Int32Array): boolean {
    return hasPositivesAndNegatives(labels);
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    if (!this.hasEnough(labels)) {
      throw new Error('triplet-semihard loss: the batch has no triplet; skip such batches');
    }
    return scope(() => {
      const { positives, negatives } = pairMasks('triplet-semihard loss', embeddings, labels);
      const distances = pairwiseDistances(embeddings);
      const chosen = noGrad(() => semihardNegatives(distances, negatives));
      const difference = distances.sub(distances.gather(1, chosen));
      const losses = this.soft ? aten.log1p(difference.exp()) : difference.add(this.margin).relu();
      return losses.mul(positives).sum().div(positives.sum());
    });
  }
}

/** The negative for each anchor and positive: distances (B, B), negatives (B, B) → positions (B, B). */
function semihardNegatives(distances: Tensor, negatives: Tensor): Tensor {
  // (anchor, positive, negative)
  const toNegative = distances.unsqueeze(1);
  const isOutside = negatives.unsqueeze(1).logicalAnd(toNegative.gt(distances.unsqueeze(2)));
  const nearestOutside = toNegative.expand(isOutside.shape).where(isOutside, Infinity).minDim(2);
  const farthest = distances.where(negatives, -Infinity).argmax(1, true);
  return nearestOutside.indices.where(nearestOutside.values.isfinite(), farthest);
}

export const tripletSemihard = part({
  name: 'triplet-semihard',
  help: 'each positive pair of the batch with its semi-hard negative (Schroff et al. 2015)',
  options,
  build: (options) => new TripletSemihardLoss(options),
});
