import type { Tensor } from '@conquer-dml/torch';
import type { Rows } from '../rows.js';

/** 0, with a gradient of 0: what a mean over nothing is by the definition of a loss. Training skips such a batch before. */
export function nothingToLearn({ embeddings }: Rows): Tensor {
  return embeddings.sum().mul(0);
}

/** Σ x / number of those above 0; 0 where none is: (N,) → (). */
export function meanOfPositive(losses: Tensor): Tensor {
  return losses.sum().div(losses.gt(0).sum().clamp({ min: 1 }));
}
