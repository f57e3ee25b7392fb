import { aten, noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
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
 * Distances are those of `pairwiseDistances`. Memory is A N² numbers, of A
 * anchors and N reference rows.
 */
export class TripletSemihardLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly margin: number;
  readonly soft: boolean;

  constructor(given: TripletSemihardOptions = {}) {
    super();
    const { margin, soft } = withDefaults('TripletSemihardLoss', options, given);
    this.margin = margin;
    this.soft = soft;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    if (!this.hasEnough(anchors, reference)) {
      throw new Error('triplet-semihard loss: the batch has no triplet; skip such batches');
    }
    return scope(() => {
      const { positives, negatives } = pairMasks('triplet-semihard loss', anchors, reference);
      const distances = pairwiseDistances(anchors.embeddings, { to: reference.embeddings });
      const chosen = noGrad(() => semihardNegatives(distances, negatives));
      const difference = distances.sub(distances.gather(1, chosen));
      const losses = this.soft ? aten.log1p(difference.exp()) : difference.add(this.margin).relu();
      return losses.mul(positives).sum().div(positives.sum());
    });
  }
}

/** The negative for each anchor and positive: distances (A, N), negatives (A, N) → reference rows (A, N). */
function semihardNegatives(distances: Tensor, negatives: Tensor): Tensor {
  // (anchor, positive, negative)
  const toNegative = distances.unsqueeze(1);
  const isOutside = negatives.unsqueeze(1).logicalAnd(toNegative.gt(distances.unsqueeze(2)));
  const nearestOutside = toNegative.expand(isOutside.shape).where(isOutside, Infinity).minDim(2);
  const farthest = distances.where(negatives, -Infinity).argmax(1, true);
  return nearestOutside.indices.where(nearestOutside.values.isfinite(), farthest);
}

export const tripletSemihard = lossPart({
  name: 'triplet-semihard',
  help: 'each positive pair of the batch with its semi-hard negative (Schroff et al. 2015)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new TripletSemihardLoss(options),
});
