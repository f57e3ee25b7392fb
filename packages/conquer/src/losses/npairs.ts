import { nn, ones, rowProducts, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
import { pairMasks } from './pair-masks.js';

const options = z.strictObject({
  alpha: z.number().default(1).describe('where the scale of the similarities starts; it is learned'),
});

export type NPairsOptions = z.input<typeof options>;

/**
 * N-pairs loss (Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NIPS 2016) for
 * any number of positives: the cross entropy of the softmax over an anchor's similarities to all others,
 * scaled by a learned alpha, against equal shares for its positives; the mean over the anchors that have one.
 * As dcesml's NPairsLoss.
 */
export class NPairsLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  /** (1,), the inverse of a temperature. */
  readonly alpha: Tensor;

  constructor(given: NPairsOptions = {}) {
    super();
    const { alpha } = withDefaults('NPairsLoss', options, given);
    this.alpha = nn.parameter(ones([1]).mul_(alpha));
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return countPairs(anchors, reference).positives.some((count) => count > 0);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    if (!this.hasEnough(anchors, reference))
      throw new Error('npairs loss: the batch has no positive pair; skip such batches');
    return scope(() => {
      const { positives, same } = pairMasks('npairs loss', anchors, reference);
      const scaled = rowProducts(anchors.embeddings, reference.embeddings).mul(this.alpha);
      const others = scaled.maskedFill(same, -Infinity);
      const counts = positives.sum(1);
      const meanPositive = scaled
        .mul(positives)
        .sum(1)
        .div(counts.clamp({ min: 1 }));
      // -Σ_p (1/P) log softmax_p = logsumexp - mean of the positives
      const rows = rowsWithPositive(anchors, reference);
      return others.indexSelect(0, rows).logsumexp(1).sub(meanPositive.indexSelect(0, rows)).mean();
    });
  }
}

function rowsWithPositive(anchors: Rows, reference: Rows): Tensor {
  const { positives } = countPairs(anchors, reference);
  const rows = Int32Array.from(positives.keys()).filter((row) => positives[row]! > 0);
  return tensor(rows, { dtype: 'int64', device: anchors.embeddings.device });
}

export const npairs = lossPart({
  name: 'npairs',
  help: "the authors' softmax over similarities with a learned scale",
  usesTuples: false,
  learns: true,
  options,
  build: (options) => new NPairsLoss(options),
});
