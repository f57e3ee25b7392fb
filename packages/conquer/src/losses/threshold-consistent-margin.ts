import { noGrad, rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';
import { classMembers } from './class-members.js';
import { Loss, lossPart } from './loss.js';
import { minedOption } from './mined-option.js';
import { listedPairs, notNegative } from './pair-masks.js';

const options = z.strictObject({
  positiveWeight: z.number().min(0).default(1).describe('λ⁺: weight of the positive pairs'),
  negativeWeight: z.number().min(0).default(1).describe('λ⁻: weight of the negative pairs'),
  positiveMargin: z.number().default(0.9).describe('m⁺: the similarity that positive pairs are to have'),
  negativeMargin: z
    .number()
    .default(0.5)
    .describe('m⁻: the similarity that negative pairs are to stay below'),
  mined: minedOption,
});

export type ThresholdConsistentMarginOptions = z.input<typeof options>;

/**
 * Threshold-consistent margin (Zhang, Xu, Wang, Savvides, Kitani, "Threshold-consistent margin loss for open-world deep
 * metric learning", ICLR 2024), a term to be added to another loss: λ⁺ times the mean of m⁺ - s over the positive pairs with
 * s ≤ m⁺, and λ⁻ times the mean of s - m⁻ over the negative pairs with s ≥ m⁻. A mean of nothing is 0.
 */
export class ThresholdConsistentMarginLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = true;
  readonly positiveWeight: number;
  readonly negativeWeight: number;
  readonly positiveMargin: number;
  readonly negativeMargin: number;

  constructor(given: ThresholdConsistentMarginOptions = {}) {
    super();
    const all = withDefaults('ThresholdConsistentMarginLoss', options, given);
    this.positiveWeight = all.positiveWeight;
    this.negativeWeight = all.negativeWeight;
    this.positiveMargin = all.positiveMargin;
    this.negativeMargin = all.negativeMargin;
    this.usesTuples = all.mined;
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  override get takesKnownPairs(): boolean {
    return true;
  }

  /** Whether there is any pair. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    const { positives, negatives } = countPairs(anchors, reference);
    return positives.some((count, anchor) => count > 0 || negatives[anchor]! > 0);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      checkPair('threshold-consistent-margin loss', anchors, reference, true, true);
      const similarities = rowProducts(anchors.embeddings, reference.embeddings);
      const only = mined ?? anchors.pairs?.among(anchors.imageIds, reference.imageIds) ?? null;
      if (only !== null) return this.ofMined(similarities, anchors, reference, only);
      const alike = notNegative('threshold-consistent-margin loss', anchors, reference);
      const { rows, present } = classMembers(anchors, reference, false);
      const far = similarities.gather(1, rows).neg().add(this.positiveMargin);
      const near = similarities.sub(this.negativeMargin);
      // What is at the margin counts, with 0.
      const mean = (beyond: Tensor, leftOut: Tensor) => {
        const left = noGrad(() => beyond.lt(0).logicalOr(leftOut));
        const count = left.logicalNot().sum();
        return beyond
          .maskedFill(left, 0)
          .sum()
          .div(count.clamp({ min: 1 }));
      };
      return mean(far, present.logicalNot())
        .mul(this.positiveWeight)
        .add(mean(near, alike).mul(this.negativeWeight));
    });
  }

  /** Each pair as often as it is listed. */
  private ofMined(similarities: Tensor, anchors: Rows, reference: Rows, mined: Mined): Tensor {
    const pairs = asPairs(mined);
    const mean = (beyond: Tensor, counts: Tensor) => {
      const counted = beyond.detach().ge(0).mul(counts);
      return beyond
        .mul(counted)
        .sum()
        .div(counted.sum().clamp({ min: 1 }));
    };
    const positives = listedPairs(anchors, reference, pairs.positiveAnchors, pairs.positives);
    const negatives = listedPairs(anchors, reference, pairs.negativeAnchors, pairs.negatives);
    return mean(similarities.neg().add(this.positiveMargin), positives)
      .mul(this.positiveWeight)
      .add(mean(similarities.sub(this.negativeMargin), negatives).mul(this.negativeWeight));
  }
}

export const thresholdConsistentMargin = lossPart({
  name: 'threshold-consistent-margin',
  help: 'a term beside another loss: similarities beyond one threshold for all classes (Zhang et al. 2024)',
  usesTuples: false,
  learns: false,
  differs: 'as pytorch-metric-learning, whose own ignores a reference set; here it counts',
  options,
  build: (options) => new ThresholdConsistentMarginLoss(options),
});
