import { aten, CentroidBounds, scope, type Tensor } from '@conquer-dml/torch';
import { centre, filterError } from '../neighbours/product-filter.js';
import { BLOCK_NUMBERS, rowBlocks } from '../neighbours/row-blocks.js';
import { checkStop } from '../stop-check.js';
import type { CentredRows } from './centred-rows.js';

/** Of all distances, the part from which on a product with all centroids costs less than to measure them one by one. */
const MANY = 0.15;

/** A distance by differences takes as long as so many of a product's multiplications for each dimension, at most. */
const MEASURED = 8;

/** By how much, relatively, the rounding of a bound may be wrong. */
const SLOP = 1e-6;

/**
 * What NearestCentroids does, where a bound of the distance of each row to each centroid fits a block (Elkan 2003): a row
 * is only compared with the centroids that may be nearest to it now, in float64. float32 on the CPU.
 */
export class ElkanCentroids {
  readonly #points: CentredRows;
  readonly #bounds: CentroidBounds;

  static fits({ count, given, precision }: CentredRows, k: number): boolean {
    return precision === 'float32' && given.device === 'cpu' && count * k <= BLOCK_NUMBERS;
  }

  /** @param points must outlive this */
  constructor(points: CentredRows, k: number) {
    this.#points = points;
    this.#bounds = new CentroidBounds(points.count, k);
  }

  /** (N,) int64 */
  get nearest(): Tensor {
    return this.#bounds.nearest;
  }

  /** Looks at every row and every centroid. */
  assignAll(centroids: Tensor): void {
    scope(() => this.#assignAll(this.#points.outOf(centroids)));
  }

  /** The centroids went from `before` to `after`, both (k, D). */
  follow(before: Tensor, after: Tensor): void {
    scope(() => {
      const moved = this.#points.outOf(after);
      const open = this.#bounds.move(this.#points.outOf(before), moved);
      if (open > MANY * this.#bounds.lower.numel()) this.#assignAll(moved);
      else this.#settle(moved);
    });
  }

  /** What the bounds leave open, by differences. */
  #settle(centroids: Tensor): void {
    const [k, dimensions] = centroids.shape as [number, number];
    for (const { start, count } of rowBlocks(this.#points.count, 1, MEASURED * k * dimensions)) {
      checkStop(this.#points.stop);
      this.#bounds.settle(this.#points.given, centroids, { start, count });
    }
  }

  /** Bounds from products, see `filterError`; what these do not decide, differences do. */
  #assignAll(centroids: Tensor): void {
    const { rows, squares, space, precision } = this.#points;
    const { nearest, upper, lower } = this.#bounds;
    const { relative, absolute } = filterError(precision, rows.size(1));
    const centred = centre(centroids, space, precision);
    const centroidSquares = centred.mul(centred).sum(1);
    const norms = centroidSquares.sqrt();
    const [k, dimensions] = centred.shape as [number, number];
    for (const { start, count } of rowBlocks(rows.size(0), Math.max(dimensions, 4 * k), k * dimensions)) {
      checkStop(this.#points.stop);
      scope(() => {
        const own = squares.narrow(0, start, count).unsqueeze(1);
        const products = aten
          .addmm(centroidSquares, rows.narrow(0, start, count), centred.t(), 1, -2)
          .add_(own);
        const together = own.sqrt().add(norms);
        const error = together
          .mul_(together)
          .mul_(relative * 1.01)
          .add_(absolute);
        const { indices } = products.minDim(1);
        const place = indices.unsqueeze(1);
        nearest.narrow(0, start, count).copy_(indices);
        const most = products.gather(1, place).add_(error.gather(1, place)).clamp_({ min: 0 }).sqrt();
        upper.narrow(0, start, count).copy_(most.mul_((1 + SLOP) / space.scale).select(1, 0));
        const least = products.sub_(error).clamp_({ min: 0 }).sqrt();
        lower.narrow(0, start, count).copy_(least.mul_((1 - SLOP) / space.scale));
      });
    }
    this.#settle(centroids);
  }
}
