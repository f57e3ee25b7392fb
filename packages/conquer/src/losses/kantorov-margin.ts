import { noGrad, scope, type Tensor, zerosLike } from '@conquer/torch';
import { pairwiseDistances } from '../distances/pairwise.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Loss } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

export interface KantorovMarginOptions {
  /** The margin; default 0.2. */
  alpha?: number;
  /** The boundary, not learned; default 1.2. */
  beta?: number;
  /** Negatives nearer than this are left out; default 0.5. */
  distanceThreshold?: number;
}

/** All of its options. */
const optionNames: OptionNames<KantorovMarginOptions> = { alpha: true, beta: true, distanceThreshold: true };

/**
 * dcesml's KantorovMarginLoss: margin loss with a fixed boundary on all positive pairs and on each anchor's
 * nearest negatives beyond a threshold, as many as an anchor has positives on average (rounded down, at least
 * one): the mean of [α ± (d - β)]₊ over the pairs with a loss. Distances are those of `pairwiseDistances`. A
 * batch whose pairs all have zero loss gives 0.
 */
export class KantorovMarginLoss extends Loss {
  readonly usesTuples = false;
  readonly alpha: number;
  readonly beta: number;
  readonly distanceThreshold: number;

  constructor(options: KantorovMarginOptions = {}) {
    super();
    refuseUnknownOptions('KantorovMarginLoss', options, optionNames);
    const { alpha = 0.2, beta = 1.2, distanceThreshold = 0.5 } = options;
    this.alpha = alpha;
    this.beta = beta;
    this.distanceThreshold = distanceThreshold;
  }

  /** Whether there is a class with two images, and another class. */
  override hasEnough(labels: Int32Array): boolean {
    return hasPositivesAndNegatives(labels);
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    if (!this.hasEnough(labels)) {
      throw new Error('kantorov-margin loss: the batch has no positive and negative pair; skip such batches');
    }
    return scope(() => {
      const { positives, negatives } = pairMasks('kantorov-margin loss', embeddings, labels);
      const distances = pairwiseDistances(embeddings);
      const chosen = noGrad(() => {
        const count = Math.max(1, Math.floor(positives.sum().item() / labels.length));
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
