import { eye, scope, type Tensor } from '@conquer/torch';
import { z } from 'zod';
import type { Compat } from '../compat.js';
import { pairwiseDistances } from '../distances/pairwise.js';
import { part, withDefaults } from '../part.js';
import { Loss, type LossContext } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.2).describe('how much farther than the positive a negative has to be'),
});

export interface TripletAllOptions extends z.input<typeof options> {
  /** 'dcesml': the anchor counts as one of its own negatives, which adds a constant push on all positives. */
  compat?: Compat | null;
}

/**
 * The mean of [d_ap - d_an + margin]₊ over all triplets of the batch, those without a loss included: "batch
 * all" (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017), dcesml's TripletAllLoss. Distances
 * are those of `pairwiseDistances`. Memory is B³ numbers.
 */
export class TripletAllLoss extends Loss {
  readonly usesTuples = false;
  readonly margin: number;
  readonly #anchorIsNegative: boolean;

  constructor({ compat, ...given }: TripletAllOptions = {}) {
    super();
    this.margin = withDefaults('TripletAllLoss', options, given).margin;
    this.#anchorIsNegative = compat === 'dcesml';
  }

  /** Whether there is a class with two images, and another class. */
  override hasEnough(labels: Int32Array): boolean {
    return hasPositivesAndNegatives(labels);
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    if (!this.hasEnough(labels))
      throw new Error('triplet-all loss: the batch has no triplet; skip such batches');
    return scope(() => {
      const masks = pairMasks('triplet-all loss', embeddings, labels);
      const distances = pairwiseDistances(embeddings);
      const negatives = this.#anchorIsNegative
        ? masks.negatives.logicalOr(eye(labels.length, { device: embeddings.device }).gt(0))
        : masks.negatives;
      // (anchor, positive, negative)
      const isTriplet = masks.positives.unsqueeze(2).logicalAnd(negatives.unsqueeze(1));
      const losses = distances.unsqueeze(2).sub(distances.unsqueeze(1)).add(this.margin).relu();
      return losses.mul(isTriplet).sum().div(isTriplet.sum());
    });
  }
}

export const tripletAll = part({
  name: 'triplet-all',
  help: 'all triplets of the batch (Hermans et al. 2017)',
  options,
  build: (options, { compat }: LossContext) => new TripletAllLoss({ ...options, compat }),
});
