import { noGrad, scope, type Tensor, zerosLike } from '@conquer-dml/torch';
import { z } from 'zod';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  alpha: z.number().min(0).default(0.2).describe('how far from the boundary a pair has to be'),
  beta: z.number().default(1.2).describe('the boundary between same and different, not learned'),
  distanceThreshold: z.number().min(0).default(0.5).describe('negatives nearer than this are left out'),
});

export type KantorovMarginOptions = z.input<typeof options>;

/**
 * dcesml's KantorovMarginLoss: margin loss with a fixed boundary on all positive pairs and on each anchor's
 * nearest negatives beyond a threshold, as many as an anchor has positives on average (rounded down, at least
 * one): the mean of [α ± (d - β)]₊ over the pairs with a loss. Distances are those of `pairwiseDistances`. A
 * batch whose pairs all have zero loss gives 0.
 */
export class KantorovMarginLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly alpha: number;
  readonly beta: number;
  readonly distanceThreshold: number;

  constructor(given: KantorovMarginOptions = {}) {
    super();
    const { alpha, beta, distanceThreshold } = withDefaults('KantorovMarginLoss', options, given);
    this.alpha = alpha;
    this.beta = beta;
    this.distanceThreshold = distanceThreshold;
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
      throw new Error('kantorov-margin loss: the batch has no positive and negative pair; skip such batches');
    }
    return scope(() => {
      const { positives, negatives } = pairMasks('kantorov-margin loss', anchors, reference);
      const distances = pairwiseDistances(anchors.embeddings, { to: reference.embeddings });
      const chosen = noGrad(() => {
        const count = Math.max(1, Math.floor(positives.sum().item() / anchors.labels.length));
        const far = negatives.logicalAnd(distances.ge(this.distanceThreshold));
        // Of equally near ones the first: topk would take any.
        const nearest = distances.where(far, Infinity).argsort(1, false, true).narrow(1, 0, count);
        return zerosLike(distances).scatter_(1, nearest, 1).gt(0).logicalAnd(far);
      });
      const fromBoundary = distances.sub(this.beta);
      const losses = fromBoundary.where(positives, fromBoundary.neg()).add(this.alpha).relu();
      const active = positives.logicalOr(chosen).logicalAnd(losses.gt(0));
      return losses
        .mul(active)
        .sum()
        .div(active.sum().clamp({ min: 1 }));
    });
  }
}

export const kantorovMargin = lossPart({
  name: 'kantorov-margin',
  help: "the authors' margin loss with a fixed boundary, on nearest negatives",
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new KantorovMarginLoss(options),
});
