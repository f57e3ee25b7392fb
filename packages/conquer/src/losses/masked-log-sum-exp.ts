import type { Tensor } from '@conquer-dml/torch';

/** In the place of -∞, for which logsumexp has no gradient where nothing else is in a row. exp of it is 0 in any precision. */
const NOTHING = -1e30;

/**
 * log Σ_j exp(x_ij) over the chosen j of each row: (R, C), (R, C) bool → (R,). A row without any gives about -1e30, and has
 * a gradient of 0.
 */
export function maskedLogSumExp(x: Tensor, chosen: Tensor): Tensor {
  return logSumExpWithout(x, chosen.logicalNot());
}

/** The same over all but these. */
export function logSumExpWithout(x: Tensor, leftOut: Tensor): Tensor {
  return x.maskedFill(leftOut, NOTHING).logsumexp(1);
}
