import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import type { Compat } from '../compat.js';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { classMembers } from './class-members.js';
import { distanceOption, distances, trueDistances } from './distances.js';
import { Loss, type LossContext, lossPart } from './loss.js';
import { meanOfPositive } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.2).describe('how much farther than the positive a negative has to be'),
  distance: distanceOption('euclidean', ['cosine', ...trueDistances]),
  averageNonZeroOnly: z
    .boolean()
    .default(false)
    .describe('divide by the number of triplets with a loss, not of all'),
});

export interface TripletAllOptions extends z.input<typeof options> {
  /** 'dcesml': the anchor counts as one of its own negatives, which adds a constant push on all positives. */
  compat?: Compat | null;
}

/**
 * The mean of [d_ap - d_an + margin]₊ over all triplets of the batch, those without a loss included: "batch
 * all" (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017), dcesml's TripletAllLoss; or over those with one
 * (`averageNonZeroOnly`). Euclidean distances are those of `pairwiseDistances`; of cosines the triplet's loss is
 * [s_an - s_ap + margin]₊. Memory is A P N numbers, of A anchors, the P positives of the one that has most, and N reference
 * rows.
 */
export class TripletAllLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly margin: number;
  readonly distance: z.output<typeof options>['distance'];
  readonly averageNonZeroOnly: boolean;
  readonly #anchorIsNegative: boolean;

  constructor({ compat, ...given }: TripletAllOptions = {}) {
    super();
    const { margin, distance, averageNonZeroOnly } = withDefaults('TripletAllLoss', options, given);
    this.margin = margin;
    this.distance = distance;
    this.averageNonZeroOnly = averageNonZeroOnly;
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
      const far = this.distancesOf(anchors, reference);
      const negatives = this.#anchorIsNegative ? masks.negatives.logicalOr(masks.same) : masks.negatives;
      const { rows, present } = classMembers(anchors, reference, false);
      // (anchor, positive, negative)
      const isTriplet = present.unsqueeze(2).logicalAnd(negatives.unsqueeze(1));
      const losses = far.gather(1, rows).unsqueeze(2).sub(far.unsqueeze(1)).add(this.margin).relu();
      const counted = losses.mul(isTriplet);
      return this.averageNonZeroOnly ? meanOfPositive(counted) : counted.sum().div(isTriplet.sum());
    });
  }

  /** (A, N) */
  private distancesOf({ embeddings }: Rows, { embeddings: to }: Rows): Tensor {
    if (this.distance === 'euclidean') return pairwiseDistances(embeddings, { to });
    const { between, isSimilarity } = distances[this.distance];
    return isSimilarity ? between(embeddings, to).neg() : between(embeddings, to);
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
