import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import type { Compat } from '../compat.js';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { Loss, type LossContext, lossPart } from './loss.js';
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
 * are those of `pairwiseDistances`. Memory is A N² numbers, of A anchors
 * and N reference rows.
 */
export class TripletAllLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly margin: number;
  readonly #anchorIsNegative: boolean;

  constructor({ compat, ...given }: TripletAllOptions = {}) {
    super();
    this.margin = withDefaults('TripletAllLoss', options, given).margin;
    this.#anchorIsNegative = compat === 'dcesml';
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    if (!this.hasEnough(anchors, reference))
      throw new Error('triplet-all loss: the batch has no triplet; skip such batches');
    return scope(() => {
      const masks = pairMasks('triplet-all loss', anchors, reference);
      const distances = pairwiseDistances(anchors.embeddings, { to: reference.embeddings });
      const negatives = this.#anchorIsNegative ? masks.negatives.logicalOr(masks.same) : masks.negatives;
      // (anchor, positive, negative)
      const isTriplet = masks.positives.unsqueeze(2).logicalAnd(negatives.unsqueeze(1));
      const losses = distances.unsqueeze(2).sub(distances.unsqueeze(1)).add(this.margin).relu();
      return losses.mul(isTriplet).sum().div(isTriplet.sum());
    });
  }
}

export const tripletAll = lossPart({
  name: 'triplet-all',
  help: 'all triplets of the batch (Hermans et al. 2017)',
  usesTuples: false,
  learns: false,
  options,
  build: (options, { compat }: LossContext) => new TripletAllLoss({ ...options, compat }),
});
