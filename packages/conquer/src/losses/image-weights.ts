import { F, type Tensor, tensor } from '@conquer-dml/torch';
import type { Rows } from '../rows.js';
import { countOf, type Mined, occurrences } from '../tuples.js';

/**
 * How much each image of a batch counts: how often it occurs among what was mined, divided by the largest such count. (B,);
 * null, all the same, where nothing was.
 */
export function imageWeights({ labels, embeddings }: Rows, mined: Mined | null): Tensor | null {
  if (mined === null || countOf(mined) === 0) return null;
  const counts = occurrences(mined, labels.length);
  const most = Math.max(...counts);
  const { dtype, device } = embeddings;
  return tensor(
    Float64Array.from(counts, (count) => count / most),
    { dtype, device },
  );
}

/** The mean over the batch of the cross entropy, weighed where there are weights: (B, C), (B,) int64, (B,) → (). */
export function weighedCrossEntropy(logits: Tensor, targets: Tensor, weights: Tensor | null): Tensor {
  if (weights === null) return F.crossEntropy(logits, targets);
  const own = logits.gather(1, targets.unsqueeze(1)).squeeze(1);
  return logits.logsumexp(1).sub(own).mul(weights).mean();
}
