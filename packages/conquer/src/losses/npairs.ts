import { eye, nn, ones, scope, type Tensor, tensor } from '@conquer/torch';
import { z } from 'zod';
import { part, withDefaults } from '../part.js';
import { Loss } from './loss.js';
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
  /** (1,), the inverse of a temperature. */
  readonly alpha: Tensor;

  constructor(given: NPairsOptions = {}) {
    super();
    const { alpha } = withDefaults('NPairsLoss', options, given);
    this.alpha = nn.parameter(ones([1]).mul_(alpha));
  }

  /** Whether there is a class with two images. */
  override hasEnough(labels: Int32Array): boolean {
    return new Set(labels).size < labels.length;
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    if (!this.hasEnough(labels))
      throw new Error('npairs loss: the batch has no positive pair; skip such batches');
    return scope(() => {
      const { positives } = pairMasks('npairs loss', embeddings, labels);
      const scaled = embeddings.matmul(embeddings.t()).mul(this.alpha);
      const others = scaled.maskedFill(eye(labels.length, { device: embeddings.device }).gt(0), -Infinity);
      const counts = positives.sum(1);
      const meanPositive = scaled
        .mul(positives)
        .sum(1)
        .div(counts.clamp({ min: 1 }));
      // -Σ_p (1/P) log softmax_p = logsumexp - mean of the positives
      const losses = others.logsumexp(1).sub(meanPositive);
      return losses.indexSelect(0, rowsWithPositive(labels, embeddings.device)).mean();
    });
  }
}

function rowsWithPositive(labels: Int32Array, device: string): Tensor {
  const sizes = new Map<number, number>();
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  const rows = Int32Array.from(labels.keys()).filter(
    (row) => (sizes.get(labels[row] as number) as number) > 1,
  );
  return tensor(rows, { dtype: 'int64', device });
}

export const npairs = part({
  name: 'npairs',
  help: "the authors' softmax over similarities with a learned scale",
  options,
  build: (options) => new NPairsLoss(options),
});
