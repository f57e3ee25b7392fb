import { aten, noGrad, scope, type Tensor } from '@conquer/torch';

export interface PairwiseOptions {
  /** Squared distances, not clamped at `eps`. Default false. */
  squared?: boolean;
  /** Squares are raised to this before the root, whose gradient has no bound at 0. Default 1e-4. */
  eps?: number;
}

/**
 * Euclidean distances between the rows of x: (B, D) → (B, B), differentiable. The diagonal is sqrt(eps), not
 * 0; squared, 0 but for rounding. |a - b|² = |a|² + |b|² - 2ab; in float32 it is good to about 1e-6.
 */
export function pairwiseDistances(x: Tensor, { squared = false, eps = 1e-4 }: PairwiseOptions = {}): Tensor {
  return scope(() => {
    const products = x.matmul(x.t());
    const squares = aten.diagonal(products);
    const distances = squares.view([-1, 1]).add(squares).sub(products.mul(2));
    return squared ? distances.clamp({ min: 0 }) : distances.clamp({ min: eps }).sqrt();
  });
}

/**
 * The same as plain numbers (B × B, row-major), for miners: nothing is kept for a gradient.
 * @throws Error if an embedding is NaN or infinite
 */
export function distanceMatrix(x: Tensor): Float64Array {
  const distances = scope(() => noGrad(() => pairwiseDistances(x).toNumbers()));
  const size = x.size(0);
  for (let row = 0; row < size; row++) {
    if (!Number.isFinite(distances[row * (size + 1)])) refuseNonFinite(row);
  }
  return distances;
}

/** No choice among distances to such a row means anything. */
export function refuseNonFinite(row: number): never {
  throw new Error(
    `expected finite embeddings, but row ${row} of the batch is not: the training has diverged; ` +
      'try a lower learning rate',
  );
}
