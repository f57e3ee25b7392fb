import { native } from './binding.js';
import { full, zeros } from './creation.js';
import { attempt } from './error.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';

/**
 * Which of k centroids is nearest to each of N rows, from bounds of their distances (Elkan 2003): centroids that move
 * loosen them, and only a row and a centroid whose bounds no longer decide are compared anew. float32 on the CPU.
 *
 * The bounds are 4 bytes × rows × centroids. All tensors belong to the scope in which it was made.
 */
export class CentroidBounds {
  /** (N,) int64 */
  readonly nearest: Tensor;
  /** (N,), at least the distance to that one. */
  readonly upper: Tensor;
  /** (N, k), at most the distance to each. */
  readonly lower: Tensor;

  constructor(rows: number, centroids: number) {
    this.nearest = zeros([rows], { dtype: 'int64' });
    this.upper = full([rows], Number.POSITIVE_INFINITY, { dtype: 'float32' });
    this.lower = zeros([rows, centroids], { dtype: 'float32' });
  }

  /** The centroids went from `before` to `after`, both (k, D). @returns how many distances the bounds leave open */
  move(before: Tensor, after: Tensor): number {
    const { nearest, upper, lower } = this;
    return attempt('moveBounds', () =>
      native.moveBounds(before.handle, after.handle, nearest.handle, upper.handle, lower.handle),
    );
  }

  /**
   * Makes `nearest` the nearest of the centroids (k, D) to each of the rows (N, D) by differences in float64, of equally near
   * ones the first.
   *
   * @param some of the rows only; default all
   */
  settle(rows: Tensor, centroids: Tensor, some = { start: 0, count: rows.size(0) }): void {
    scope(() => {
      const [given, nearest, upper, lower] = [rows, this.nearest, this.upper, this.lower].map((of) =>
        of.narrow(0, some.start, some.count),
      ) as [Tensor, Tensor, Tensor, Tensor];
      attempt('settleBounds', () =>
        native.settleBounds(given.handle, centroids.handle, nearest.handle, upper.handle, lower.handle),
      );
    });
  }
}
