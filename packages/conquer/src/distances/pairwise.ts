import { noGrad, scope, type Tensor } from '@conquer/torch';

export interface PairwiseOptions {
  /** Squared distances, not clamped at `eps`. */
  squared?: boolean;
  /** Squares are raised to this before the root, whose gradient has no bound at 0. */
  eps?: number;
}

/**
 * Euclidean distances between the rows of x: (B, D) → (B, B), differentiable. The diagonal is sqrt(eps), not 0.
 * |a - b|² = |a|² + |b|² - 2ab; in float32 it is good to about 1e-6.
 */
export function pairwiseDistances(x: Tensor, { squared = false, eps = 1e-4 }: PairwiseOptions = {}): Tensor {
  return scope(() => {
    const products = x.matmul(x.t());
    const squares = x.mul(x).sum(1, true);
    const distances = squares.add(squares.t()).sub(products.mul(2)).clamp({ min: 0 });
    return squared ? distances : distances.clamp({ min: eps }).sqrt();
  });
}

/**
 * The same as plain numbers (B × B, row-major), for miners: nothing is kept for a gradient.
 * @throws Error if an embedding is NaN or infinite: no choice among such distances means anything
 */
export function distanceMatrix(x: Tensor): Float64Array {
  const distances = scope(() => noGrad(() => pairwiseDistances(x).toNumbers()));
  const row = x.size(0);
  for (let i = 0; i < distances.length; i++) {
    if (!Number.isFinite(distances[i])) {
      throw new Error(
        `expected finite embeddings, but row ${Math.floor(i / row)} or ${i % row} of the batch is not: ` +
          'the training has diverged; try a lower learning rate',
      );
    }
  }
  return distances;
}
