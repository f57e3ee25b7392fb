import { aten, gapsToOwn, scope, type Tensor } from '@conquer-dml/torch';
import {
  centre,
  liesAroundOrigin,
  type Precision,
  type Space,
  spaceOf,
  squaredNorms,
} from '../neighbours/product-filter.js';
import { rowBlocks } from '../neighbours/row-blocks.js';
import { checkStop, type StopCheck } from '../stop-check.js';

/**
 * The rows of a clustering in a space of their own (see `Space`), where products lose least; and the rows as they were
 * given, from which what products cannot decide is decided. The tensors belong to the scope in which it was made.
 */
export class CentredRows {
  readonly precision: Precision;
  readonly space: Space;
  /** (N, D) as they came, of the precision */
  readonly given: Tensor;
  /** (N, D) in the space */
  readonly rows: Tensor;
  /** (N,), |x|² */
  readonly squares: Tensor;
  /** Σ |x|², summed in float64. */
  readonly total: number;

  /**
   * @param given (N, D)
   * @param others more rows (k, D) that the space is to hold
   * @param stop ends what is done with them
   * @throws RangeError if one is not finite
   */
  constructor(
    given: Tensor,
    others: Tensor | null,
    readonly stop?: StopCheck | undefined,
  ) {
    this.precision = given.dtype === 'float64' ? 'float64' : 'float32';
    this.given = given.detach().to({ dtype: this.precision }).contiguous();
    const { scale, mean } = spaceOf('k-means', this.given, others);
    // Rounded as `centre` rounds it: what leaves the space must be what came into it.
    const space = { scale, mean: mean.to({ dtype: this.precision }).to({ dtype: 'float64' }) };
    checkStop(stop);
    const squares = squaredNorms(this.given).select(1, 0);
    const total = scope(() => squares.to({ dtype: 'float64' }).sum().item());
    if (liesAroundOrigin(space, total, given.size(0), 1 / 2)) {
      this.space = { scale: 1, mean: space.mean.zero_() };
      [this.rows, this.squares, this.total] = [this.given, squares, total];
      return;
    }
    this.space = space;
    checkStop(stop);
    this.rows = centre(this.given, space, this.precision);
    checkStop(stop);
    this.squares = squaredNorms(this.rows).select(1, 0);
    this.total = scope(() => this.squares.to({ dtype: 'float64' }).sum().item());
  }

  /** N. */
  get count(): number {
    return this.rows.size(0);
  }

  /** The rows at these positions (B,) int64 in float64, with no rounding but that of float64: (B, D). */
  preciseAt(positions: Tensor): Tensor {
    return scope(() => centre(this.given.indexSelect(0, positions), this.space, 'float64'));
  }

  /** The rows at these positions (B,) int64 as they were given, in float64: (B, D). */
  givenAt(positions: Tensor): Tensor {
    return scope(() => this.given.indexSelect(0, positions).to({ dtype: 'float64' }));
  }

  /** (N,), |x - c|² of each row and its own of the centroids (k, D), whose positions are (N,) int64, by differences. */
  squaredGaps(centroids: Tensor, own: Tensor): Float64Array {
    const gaps = new Float64Array(this.count);
    scope(() => {
      const points = this.outOf(centroids);
      if (this.precision === 'float32' && this.given.device === 'cpu') {
        checkStop(this.stop);
        gaps.set(
          gapsToOwn(this.given, points, own)
            .mul_(this.space.scale ** 2)
            .toNumbers(),
        );
        return;
      }
      for (const { start, count } of rowBlocks(gaps.length, 64 * this.rows.size(1))) {
        checkStop(this.stop);
        scope(() => {
          const some = points.indexSelect(0, own.narrow(0, start, count));
          const differences = some.sub_(this.given.narrow(0, start, count));
          const norms = aten.linalg_vector_norm(differences, 2, [1], false, 'float64');
          gaps.set(norms.mul_(this.space.scale).square().toNumbers(), start);
        });
      }
    });
    return gaps;
  }

  /** Centroids (k, D) as numbers among the rows' own. */
  outOf(centroids: Tensor): Tensor {
    const { mean, scale } = this.space;
    return scope(() => centroids.to({ dtype: 'float64' }).add(mean).div(scale).to({ dtype: this.precision }));
  }

  /**
   * The centroids that are the nearest numbers which the rows' precision has where the rows lie: to what is returned, not
   * to something more precise, rows are assigned.
   */
  representable(centroids: Tensor): Tensor {
    return scope(() => centre(this.outOf(centroids), this.space, this.precision));
  }

  /** The same centroids in float64, with no rounding but that of float64. */
  preciseCentroids(centroids: Tensor): Tensor {
    return scope(() => centre(this.outOf(centroids), this.space, 'float64'));
  }
}
