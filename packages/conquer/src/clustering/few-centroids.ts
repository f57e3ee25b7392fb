import { type CentroidPlaces, FewCentroids, scope, type Tensor } from '@conquer-dml/torch';
import { centre, filterError } from '../neighbours/product-filter.js';
import { rowBlocks } from '../neighbours/row-blocks.js';
import { checkStop } from '../stop-check.js';
import type { CentredRows } from './centred-rows.js';

/** Centroids of which a core's cache holds one part after another while rows pass by. */
const FEW = 256;

/**
 * What NearestCentroids does, for few centroids: one pass over the rows each time, which reads only those whose nearest
 * centroid may have changed. float32 on the CPU.
 */
export class FewNearestCentroids {
  readonly #points: CentredRows;
  readonly #few: FewCentroids;

  static fits({ given, precision }: CentredRows, k: number): boolean {
    return precision === 'float32' && given.device === 'cpu' && k <= FEW;
  }

  /** @param points must outlive this */
  constructor(points: CentredRows) {
    this.#points = points;
    this.#few = new FewCentroids(points.count);
  }

  /** (N,) int64 */
  get nearest(): Tensor {
    return this.#few.nearest;
  }

  /** Looks at every row and every centroid. */
  assignAll(centroids: Tensor): void {
    scope(() => this.#pass(centroids, null));
  }

  /** The centroids went from `before` to `after`, both (k, D). */
  follow(before: Tensor, after: Tensor): void {
    scope(() => this.#pass(after, this.#points.outOf(before)));
  }

  #pass(centroids: Tensor, before: Tensor | null): void {
    const { rows, squares, given, space, precision, count, stop } = this.#points;
    const [k, dimensions] = centroids.shape as [number, number];
    const of = { rows, squares, given, scale: space.scale, error: filterError(precision, dimensions) };
    const points = this.#points.outOf(centroids);
    // Of the points, which are rounded, and not of what they were rounded from.
    const places: CentroidPlaces = { centred: centre(points, space, precision), points };
    for (const some of rowBlocks(count, 1, k * dimensions)) {
      checkStop(stop);
      this.#few.follow(of, places, before, some);
    }
  }
}
