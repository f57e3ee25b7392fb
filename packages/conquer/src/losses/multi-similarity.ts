import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { logOnePlusSumExp } from './log-one-plus-sum-exp.js';
import { Loss, lossPart } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  posWeight: z.number().min(1e-3).default(2).describe('α: the steepness for positives'),
  negWeight: z.number().min(1e-3).default(40).describe('β: the steepness for negatives'),
  margin: z
    .number()
    .default(0.1)
    .describe('ε: how much easier than the hardest pair of the other kind a pair may be and still count'),
  threshold: z.number().default(0.5).describe('λ: the similarity that parts positives from negatives'),
  averageNonZeroOnly: z
    .boolean()
    .default(false)
    .describe('divide by the anchors that have pairs left, as the Revisiting collection does, not by all'),
});

export type MultiSimilarityOptions = z.input<typeof options>;

/**
 * Multi-similarity loss (Wang, Han, Huang, Dong, Scott, "Multi-similarity loss with general pair weighting
 * for deep metric learning", CVPR 2019, equation 13) of the cosine similarities s, with its own pair mining:
 * for each anchor i the positives with s_ip - ε < max_n s_in and the negatives with s_in + ε > min_p s_ip;
 *
 *     1/B Σ_i { 1/α log(1 + Σ_p exp(-α (s_ip - λ))) + 1/β log(1 + Σ_n exp(β (s_in - λ))) }
 *
 * An anchor without positives or negatives has no loss. A batch in which no pair is hard enough gives 0.
 */
export class MultiSimilarityLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly posWeight: number;
  readonly negWeight: number;
  readonly margin: number;
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
      throw new Error(
        'multi-similarity loss: the batch has no positive and negative pair; skip such batches',
      );
    return scope(() => {
      const { positives, negatives } = pairMasks('multi-similarity loss', anchors, reference);
      const similarities = anchors.embeddings.matmul(reference.embeddings.t());
      const [hardPositives, hardNegatives] = noGrad(() => {
        const leastPositive = similarities.where(positives, Infinity).amin(1, true);
        const mostNegative = similarities.where(negatives, -Infinity).amax(1, true);
        return [
          positives.logicalAnd(similarities.sub(this.margin).lt(mostNegative)),
          negatives.logicalAnd(similarities.add(this.margin).gt(leastPositive)),
        ] as const;
      });
      const above = similarities.sub(this.threshold);
      const pull = logOnePlusSumExp(above.mul(-this.posWeight), hardPositives).div(this.posWeight);
      const push = logOnePlusSumExp(above.mul(this.negWeight), hardNegatives).div(this.negWeight);
      const losses = pull.add(push);
      if (!this.averageNonZeroOnly) return losses.mean();
      return losses.sum().div(hardPositives.sum(1).gt(0).sum().clamp({ min: 1 }));
    });
  }
}

export const multiSimilarity = lossPart({
  name: 'multi-similarity',
  help: 'multi-similarity loss with its own mining of pairs (Wang et al. 2019)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new MultiSimilarityLoss(options),
});
