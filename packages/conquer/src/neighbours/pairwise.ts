import { aten, noGrad, scope, type Tensor } from '@conquer-dml/torch';

export interface PairwiseOptions {
  /** The rows that distances are taken to, (N, D); by default x itself. */
  to?: Tensor;
  /** Squared distances, not clamped at `eps`. Default false. */
  squared?: boolean;
  /** Squares are raised to this before the root, whose gradient has no bound at 0. Default 1e-4. */
  eps?: number | undefined;
}

/**
 * Euclidean distances between the rows of x: (B, D) → (B, B), or to other rows: (B, N), differentiable. The diagonal of
 * the former is sqrt(eps), not 0; squared, 0 but for rounding. |a - b|² = |a|² + |b|² - 2ab; in float32 it is good to about 1e-6.
 */
export function pairwiseDistances(
  x: Tensor,
  { to = x, squared = false, eps = 1e-4 }: PairwiseOptions = {},
): Tensor {
  return scope(() => {
    const products = x.matmul(to.t());
    const squares = to === x ? aten.diagonal(products) : to.square().sum(1);
    const own = to === x ? squares.view([-1, 1]) : x.square().sum(1, true);
    const distances = own.add(squares).sub(products.mul(2));
    return squared ? distances.clamp({ min: 0 }) : distances.clamp({ min: eps }).sqrt();
  });
}

/**
 * The same as plain numbers (B × N, row-major), for miners: nothing is kept for a gradient.
 * @param eps as that of pairwiseDistances; 0 for distances as they are
 * @throws Error if an embedding is NaN or infinite
 */
export function distanceMatrix(x: Tensor, to: Tensor = x, eps?: number): Float64Array {
  const distances = scope(() => noGrad(() => pairwiseDistances(x, { to, eps }).toNumbers()));
  if (to !== x) {
    refuseNonFiniteRows(x, 'batch');
    refuseNonFiniteRows(to, 'reference set');
    return distances;
  }
  const size = x.size(0);
  for (let row = 0; row < size; row++) {
    if (!Number.isFinite(distances[row * (size + 1)])) refuseNonFinite(row);
  }
  return distances;
}

/** @param what the rows (N, D) are, for the message @throws Error if one is NaN or infinite */
export function refuseNonFiniteRows(x: Tensor, what: 'batch' | 'reference set'): void {
  const sums = scope(() => noGrad(() => x.square().sum(1).toNumbers()));
  const row = sums.findIndex((sum) => !Number.isFinite(sum));
  if (row >= 0) refuseNonFinite(row, what);
}

/** No choice among distances to such a row means anything. */
export function refuseNonFinite(row: number, of: 'batch' | 'reference set' = 'batch'): never {
  throw new Error(
    `expected finite embeddings, but row ${row} of the ${of} is not: the training has diverged; ` +
      'try a lower learning rate',
  );
}
