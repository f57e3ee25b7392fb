import { native } from './binding.js';
import { full, zeros } from './creation.js';
import { attempt } from './error.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';

/** The rows of a clustering, float32 on the CPU: in a space where their products lose least, and as they were given. */
export interface CentredAndGiven {
  /** (N, D), `given` times a power of two less a mean */
  rows: Tensor;
  /** (N,), |x|² of these */
  squares: Tensor;
  /** (N, D) */
  given: Tensor;
  /** The power of two. */
  scale: number;
  /** |product - d²| ≤ relative · (|x| + |c|)² + absolute */
  error: { relative: number; absolute: number };
}

/** k centroids, in the rows' space (k, D), and as rows were given (k, D). */
export interface CentroidPlaces {
  centred: Tensor;
  points: Tensor;
}

/**
 * Which of a few centroids is nearest to each of N rows, of equally near ones the first: in one pass over the rows, whose
 * products with all centroids never leave the cache; what these cannot decide, differences in float64 do. A row knows at
 * least how far its own centroid is and at most how far any other (Hamerly 2010), and is passed over while centroids move
 * too little to change that. The same for any number of threads. float32 on the CPU.
 *
 * All tensors belong to the scope in which it was made.
 */
export class FewCentroids {
  /** (N,) int64 */
  readonly nearest: Tensor;
  readonly #upper: Tensor;
  readonly #lower: Tensor;

  constructor(rows: number) {
    this.nearest = zeros([rows], { dtype: 'int64' });
    this.#upper = full([rows], Number.POSITIVE_INFINITY, { dtype: 'float32' });
    this.#lower = zeros([rows], { dtype: 'float32' });
  }

  /**
   * @param before where the points were at the last time; null: every row is looked at
   * @param some of the rows only: each once for every move of the centroids
   */
  follow(
    of: CentredAndGiven,
    { centred, points }: CentroidPlaces,
    before: Tensor | null,
    some: { start: number; count: number },
  ): void {
    const { scale, error } = of;
    scope(() => {
      const [rows, squares, given, nearest, upper, lower] = [
        of.rows,
        of.squares,
        of.given,
        this.nearest,
        this.#upper,
        this.#lower,
      ].map((all) => all.narrow(0, some.start, some.count).handle) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      attempt('nearestOfFew', () =>
        native.nearestOfFew(
          rows,
          squares,
          given,
          centred.handle,
          points.handle,
          before?.handle ?? null,
          scale,
          error.relative,
          error.absolute,
          nearest,
          upper,
          lower,
        ),
      );
    });
  }
}

/**
 * Keeps sums (k, D) and counts (k,), both float64, of the rows (N, D) of k clusters: rows that changed their cluster are taken away and
 * added; with `before` null all are added. In the rows' order, so that it is the same for any number of threads. float32 rows on the CPU.
 *
 * @param before (N,) int64 @param after (N,) int64
 * @returns how many changed
 */
export function addToClusters(
  rows: Tensor,
  before: Tensor | null,
  after: Tensor,
  sums: Tensor,
  counts: Tensor,
): number {
  return attempt('addToClusters', () =>
    native.addToClusters(rows.handle, before?.handle ?? null, after.handle, sums.handle, counts.handle),
  );
}

/** |x - c|² of each of the rows (N, D) and its own of the centroids (k, D), by differences in float64: (N,). float32 on the CPU. */
export function gapsToOwn(rows: Tensor, centroids: Tensor, own: Tensor): Tensor {
  const gaps = zeros([rows.size(0)], { dtype: 'float64' });
  attempt('gapsToOwn', () => native.gapsToOwn(rows.handle, centroids.handle, own.handle, gaps.handle));
  return gaps;
}
