import { noGrad, rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { logOnePlusSumExp } from './log-one-plus-sum-exp.js';
import { Loss, lossPart } from './loss.js';
import { minedOption } from './mined-option.js';
import { hasAnyPair, hasPositivesAndNegatives, type PairMasks, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  posWeight: z.number().min(1e-3).default(2).describe('α: the steepness for positives'),
  negWeight: z.number().min(1e-3).default(40).describe('β: the steepness for negatives'),
  margin: z
    .number()
    .nullable()
    .default(0.1)
    .describe('ε: how much easier than the hardest pair of the other kind a pair may be; null: all count'),
  threshold: z.number().default(0.5).describe('λ: the similarity that parts positives from negatives'),
  averageNonZeroOnly: z
    .boolean()
    .default(false)
    .describe('divide by the anchors that have pairs left, as the Revisiting collection does, not by all'),
  mined: minedOption,
});

export type MultiSimilarityOptions = z.input<typeof options>;

/**
 * Multi-similarity loss (Wang, Han, Huang, Dong, Scott, "Multi-similarity loss with general pair weighting
 * for deep metric learning", CVPR 2019, equation 13) of the cosine similarities s, with its own pair mining:
 * for each anchor i the positives with s_ip - ε < max_n s_in and the negatives with s_in + ε > min_p s_ip;
 *
 *     1/B Σ_i { 1/α log(1 + Σ_p exp(-α (s_ip - λ))) + 1/β log(1 + Σ_n exp(β (s_in - λ))) }
 *
 * An anchor without positives or negatives has no loss. A batch in which no pair is hard enough gives 0. Without a margin
 * there is no mining of its own, and an anchor with pairs of one kind has their part.
 */
export class MultiSimilarityLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = true;
  readonly posWeight: number;
  readonly negWeight: number;
  readonly margin: number | null;
  readonly threshold: number;
  readonly averageNonZeroOnly: boolean;

  constructor(given: MultiSimilarityOptions = {}) {
    super();
    const all = withDefaults('MultiSimilarityLoss', options, given);
    this.posWeight = all.posWeight;
    this.negWeight = all.negWeight;
    this.margin = all.margin;
    this.threshold = all.threshold;
    this.averageNonZeroOnly = all.averageNonZeroOnly;
    this.usesTuples = all.mined;
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with; without a margin, one of either. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    if (this.margin !== null) return hasPositivesAndNegatives(anchors, reference);
    return hasAnyPair(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    if (mined === null && !this.hasEnough(anchors, reference))
      throw new Error(
        'multi-similarity loss: the batch has no positive and negative pair; skip such batches',
      );
    return scope(() => {
      const masks = pairMasks('multi-similarity loss', anchors, reference, mined);
      const similarities = rowProducts(anchors.embeddings, reference.embeddings);
      const hard = this.margin === null ? masks : hardPairs(similarities, masks, this.margin);
      const above = similarities.sub(this.threshold);
      const pull = logOnePlusSumExp(above.mul(-this.posWeight), hard.positives).div(this.posWeight);
      const push = logOnePlusSumExp(above.mul(this.negWeight), hard.negatives).div(this.negWeight);
      const losses = pull.add(push);
      if (!this.averageNonZeroOnly) return losses.mean();
      return losses.sum().div(hard.positives.sum(1).gt(0).sum().clamp({ min: 1 }));
    });
  }
}

/** The pairs whose similarity is within the margin of the hardest of the other kind, or beyond it. */
function hardPairs(similarities: Tensor, { positives, negatives }: PairMasks, margin: number) {
  return noGrad(() => {
    const leastPositive = similarities.where(positives, Infinity).amin(1, true);
    const mostNegative = similarities.where(negatives, -Infinity).amax(1, true);
    return {
      positives: positives.logicalAnd(similarities.sub(margin).lt(mostNegative)),
      negatives: negatives.logicalAnd(similarities.add(margin).gt(leastPositive)),
    };
  });
}

export const multiSimilarity = lossPart({
  name: 'multi-similarity',
  help: 'multi-similarity loss with its own mining of pairs (Wang et al. 2019)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new MultiSimilarityLoss(options),
});
