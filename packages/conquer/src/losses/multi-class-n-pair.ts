import { rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { logOnePlusSumExp } from './log-one-plus-sum-exp.js';
import { Loss, lossPart } from './loss.js';
import { hasPositivesAndNegatives } from './pair-masks.js';
import { type PairSets, pairSets } from './pair-sets.js';

/** Of the losses of N pairs. */
export const lengthWeight = z
  .number()
  .min(0)
  .default(0)
  .describe("weight of the embeddings' mean length, a constant where a model gives them length 1");

const options = z.strictObject({ l2Weight: lengthWeight });

export type MultiClassNPairOptions = z.input<typeof options>;

/**
 * N-pair loss as first published (Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NIPS
 * 2016, "N-pair-mc"): the mean over the positive pairs of log(1 + Σ_n exp(x_a·x_n - x_a·x_p)), n over the images of
 * other classes. One pair a class, as NPairsSampler draws them, is the paper's batch; of larger classes all
 * pairs count. Given tuples, it takes their pairs, each with its negatives. `NPairsLoss` is the authors' code's
 * softmax with a learned scale.
 */
export class MultiClassNPairLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly l2Weight: number;

  constructor(given: MultiClassNPairOptions = {}) {
    super();
    this.l2Weight = withDefaults('MultiClassNPairLoss', options, given).l2Weight;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null): Tensor {
    if (!this.hasEnough(anchors, reference))
      throw new Error('mc-npair loss: the batch has no positive and negative pair; skip such batches');
    return scope(() => {
      const pairs = pairSets('mc-npair loss', anchors, reference, mined);
      const loss = nPairTerm(anchors, reference, pairs);
      return this.l2Weight === 0 ? loss : loss.add(anchors.embeddings.norm(2, 1).mean().mul(this.l2Weight));
    });
  }
}

/** The mean over the pairs of log(1 + Σ_n exp(x_a·x_n - x_a·x_p)): a scalar. */
export function nPairTerm(of: Rows, reference: Rows, { anchors, positives, negatives }: PairSets): Tensor {
  const similarities = rowProducts(of.embeddings, reference.embeddings).indexSelect(0, anchors);
  const toPositive = similarities.gather(1, positives.unsqueeze(1));
  return logOnePlusSumExp(similarities.sub(toPositive), negatives).mean();
}

export const multiClassNPair = lossPart({
  name: 'mc-npair',
  help: 'N-pair loss as published (Sohn 2016)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new MultiClassNPairLoss(options),
});
