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
    const distances = squares.add(squares.t()).sub(products.mul(2));
    return squared ? distances.clamp({ min: 0 }) : distances.clamp({ min: eps }).sqrt();
  });
}

/**
 * The same for miners: no gradient, and checked.
 * @throws Error if an embedding is NaN or infinite: no choice among such distances means anything
 */
export function finiteDistances(x: Tensor): Tensor {
  return scope(() =>
    noGrad(() => {
      const distances = pairwiseDistances(x);
      if (!Number.isFinite(distances.sum().item())) {
        const row = x
          .sum(1)
          .toNumbers()
          .findIndex((sum) => !Number.isFinite(sum));
        throw new Error(
          `expected finite embeddings, but row ${row} of the batch is not: the training has diverged; ` +
            'try a lower learning rate',
        );
      }
      return distances;
    }),
  );
}

/** `finiteDistances` as plain numbers, B × B, row-major. */
export function distanceMatrix(x: Tensor): Float64Array {
  return scope(() => finiteDistances(x).toNumbers());
}
