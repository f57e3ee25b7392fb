import { arange, aten, empty, full, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { squaredGaps } from '../neighbours/nearest-candidates.js';
import { type FilterError, filterError, type Precision } from '../neighbours/product-filter.js';
import { rowBlocks } from '../neighbours/row-blocks.js';
import { checkStop } from '../stop-check.js';
import type { CentredRows } from './centred-rows.js';

// What reading a row, and what gathering one from among others, costs beside its product with one centroid.
const PASS = 40;
const GATHER = 200;

/**
 * Which of k centroids is nearest to each row, kept while the centroids move; of equally near ones the first. Exact: where
 * products cannot decide, differences in float64 do. But a row is only looked at again where the triangle inequality allows
 * its nearest centroid to have changed (Elkan 2003, Hamerly 2010): each row knows its distance to its own centroid and a
 * lower bound of that to every other.
 *
 * All tensors are on the rows' device. There is never more than a block of distances.
 */
export class NearestCentroids {
  /** (N,) int64 */
  readonly nearest: Tensor;
  readonly #points: CentredRows;
  readonly #rows: Tensor;
  /** (N,), the rows' squared norms */
  readonly #squares: Tensor;
  readonly #error: FilterError;
  /** (N,), at least the distance to the nearest centroid. */
  readonly #upper: Tensor;
  /** (N,), by how much `upper` may be too large. */
  readonly #excess: Tensor;
  /** (N,), at most the distance to any other centroid. */
  readonly #lower: Tensor;

  /** @param points must outlive this */
  constructor(points: CentredRows) {
    const { rows, squares, precision, count } = points;
    const { dtype, device } = rows;
    this.#points = points;
    this.#rows = rows;
    this.#squares = squares;
    this.#error = filterError(precision, rows.size(1));
    this.nearest = zeros([count], { dtype: 'int64', device });
    this.#upper = empty([count], { dtype, device });
    this.#lower = empty([count], { dtype, device });
    this.#excess = zeros([count], { dtype, device });
  }

  /** Looks at every row and every centroid. */
  assignAll(centroids: Tensor): void {
    scope(() => this.#assign(centroids, null));
  }

  /**
   * The centroids went from `before` to `after`, both (k, D). Takes the cheapest of three ways:
   * all rows, the rows whose bounds cross when everything moves as far as the farthest, or, where few centroids
   * moved, those centroids for all rows, and the few rows that this does not decide.
   */
  follow(before: Tensor, after: Tensor): void {
    scope(() => this.#follow(before, after));
  }

  #follow(before: Tensor, after: Tensor): void {
    const count = this.#rows.size(0);
    const k = after.size(0);
    const drift = after.sub(before).norm(2, 1);
    const moved = aten.nonzero(drift).select(1, 0);
    if (moved.size(0) === 0) return;
    // Rounding must make no bound tighter.
    drift.mul_(1 + this.#slop);
    const own = drift.indexSelect(0, this.nearest);
    const upper = this.#upper.add(own).mul_(1 + this.#slop);
    const lower = this.#lower.sub(drift.max()).sub(this.#lower.mul(this.#slop));
    const crossing = aten.nonzero(upper.gt(lower)).select(1, 0);
    const some = crossing.size(0);
    const loose = aten.nonzero(this.#excess.add(own)).size(0);
    const cost = {
      all: count * (k + PASS),
      crossing: some * (k + GATHER),
      moved: count * (moved.size(0) + 2 * PASS) + loose * GATHER,
    };
    if (cost.moved < Math.min(cost.all, cost.crossing)) {
      this.#excess.add_(own);
      this.#assignMoved(after, moved);
    } else if (cost.crossing < cost.all) {
      this.#upper.copy_(upper);
      this.#lower.copy_(lower);
      this.#excess.add_(own);
      if (some > 0) this.#assign(after, crossing);
    } else {
      this.#assign(after, null);
    }
  }

  /** By how much, relatively, the rounding of a bound may be wrong. */
  get #slop(): number {
    return this.#points.precision === 'float64' ? 1e-14 : 1e-6;
  }

  /** Multiplications of a row with so many centroids; a card takes no time for them. */
  #products(centroids: number): number {
    return this.#rows.device === 'cpu' ? centroids * this.#rows.size(1) : 0;
  }

  /** Some rows (their positions, or null: all) against all centroids. */
  #assign(centroids: Tensor, which: Tensor | null): void {
    const total = which === null ? this.#rows.size(0) : which.size(0);
    const widest = Math.max(centroids.size(0), which === null ? 0 : this.#rows.size(1));
    const centroidSquares = centroids.mul(centroids).sum(1);
    const norms = centroidSquares.sqrt();
    let precise: { centred: Tensor; points: Tensor } | undefined;
    for (const { start, count } of rowBlocks(total, widest, this.#products(centroids.size(0)))) {
      checkStop(this.#points.stop);
      const undecided = scope(() => {
        const positions = which?.narrow(0, start, count);
        const take = (from: Tensor) =>
          positions ? from.indexSelect(0, positions) : from.narrow(0, start, count);
        const found = twoSmallest(aten.addmm(centroidSquares, take(this.#rows), centroids.t(), 1, -2));
        const bounds = this.#bounds(found, take(this.#squares), norms, this.#points.precision);
        this.#put(positions ?? null, start, found.indices, bounds);
        const open = aten.nonzero(bounds.open).select(1, 0);
        return positions ? positions.indexSelect(0, open) : open.add(start);
      });
      if (undecided.size(0) > 0) {
        precise ??= {
          centred: this.#points.preciseCentroids(centroids),
          points: this.#points.outOf(centroids),
        };
        const { centred, points } = precise;
        // What it makes would else be held, block after block, until the clustering ends.
        scope(() => this.#assignPrecisely(centred, points, undecided));
      }
      undecided.dispose();
    }
  }

  #put(positions: Tensor | null, start: number, nearest: Tensor, { upper, lower }: Bounds): void {
    const count = nearest.size(0);
    const put = (into: Tensor, values: Tensor) =>
      positions ? aten.index_copy_(into, 0, positions, values) : into.narrow(0, start, count).copy_(values);
    put(this.nearest, nearest);
    put(this.#upper, upper);
    put(this.#lower, lower);
    put(this.#excess, zeros([count], { dtype: this.#excess.dtype, device: nearest.device }));
  }

  /**
   * What products say of the distances to the nearest and to all other centroids. With the error E of a pair (see
   * `filterError`): d² of the nearest is at most s₁ + E, so that it, and whatever is nearer, has a norm of at most |x| + d;
   * and every other d² is at least s₂ - E, E taken for a norm of |x| + √s₂, as one that is nearer has no larger one (all of
   * them, likewise, at least s₁ - E).
   *
   * @param found of |c|² - 2xc
   * @param squares (B,), |x|²
   * @param norms (k,) of the centroids
   */
  #bounds(found: TwoSmallest, squares: Tensor, norms: Tensor, precision: Precision): Bounds {
    const { relative, absolute } =
      precision === this.#points.precision ? this.#error : filterError(precision, this.#rows.size(1));
    const slop = this.#slop;
    const own = squares.sqrt();
    const error = (together: Tensor) =>
      together
        .mul_(together)
        .mul_(relative * 1.01)
        .add_(absolute);
    const first = found.values.add(squares).clamp_({ min: 0 });
    const second = found.second.add(squares).clamp_({ min: 0 });
    const most = first.add(error(norms.indexSelect(0, found.indices).add_(own)));
    const least = (product: Tensor) => {
      const bound = product.sub(error(product.sqrt().add_(own.mul(2)))).clamp_({ min: 0 });
      // Of one centroid alone there is no second.
      return aten.where$self(product.isfinite(), bound, product);
    };
    const other = least(second);
    return {
      upper: most.sqrt().mul_(1 + slop),
      first: least(first)
        .sqrt()
        .mul_(1 - slop),
      lower: other.sqrt().mul_(1 - slop),
      open: most.mul_(1 + slop).ge(other),
    };
  }

  /**
   * Rows (their positions) against all centroids in float64: by products, and where even these cannot decide by differences
   * of the numbers as they were given, as centring rounds.
   *
   * @param precise (k, D) in the space @param points (k, D) out of it
   */
  #assignPrecisely(precise: Tensor, points: Tensor, which: Tensor): void {
    const { dtype } = this.#rows;
    const centroidSquares = precise.mul(precise).sum(1);
    const norms = centroidSquares.sqrt();
    const widest = 2 * Math.max(precise.size(0), precise.size(1));
    for (const { start, count } of rowBlocks(which.size(0), widest, 2 * this.#products(precise.size(0)))) {
      checkStop(this.#points.stop);
      scope(() => {
        const positions = which.narrow(0, start, count);
        const rows = this.#points.preciseAt(positions);
        const found = twoSmallest(aten.addmm(centroidSquares, rows, precise.t(), 1, -2));
        const bounds = this.#bounds(found, rows.mul(rows).sum(1), norms, 'float64');
        const open = aten.nonzero(bounds.open).select(1, 0).toNumbers();
        for (const row of open) {
          checkStop(this.#points.stop);
          const own = this.#points.givenAt(positions.narrow(0, row, 1));
          const direct = twoSmallest(squaredGaps(own, points, this.#points.space.scale).unsqueeze(0));
          found.indices.narrow(0, row, 1).copy_(direct.indices);
          bounds.upper.narrow(0, row, 1).copy_(direct.values.sqrt().mul_(1 + this.#slop));
          bounds.lower.narrow(0, row, 1).copy_(direct.second.sqrt().mul_(1 - this.#slop));
        }
        const put = { ...bounds, upper: bounds.upper.to({ dtype }), lower: bounds.lower.to({ dtype }) };
        this.#put(positions, 0, found.indices, put);
      });
    }
  }

  /** All rows against the centroids that moved, then the rows for which one of these may be the nearest now. */
  #assignMoved(centroids: Tensor, moved: Tensor): void {
    this.#tighten(centroids);
    const movers = centroids.indexSelect(0, moved);
    const moverSquares = movers.mul(movers).sum(1);
    const norms = moverSquares.sqrt();
    const { device } = this.#rows;
    // Where each centroid stands among the movers; those that did not move: nowhere.
    const place = full([centroids.size(0)], -1, { dtype: 'int64', device });
    const places = arange(0, moved.size(0), 1, { device });
    aten.index_copy_(place, 0, moved, places);
    const undecided: Tensor[] = [];
    const products = this.#products(moved.size(0));
    for (const { start, count } of rowBlocks(this.#rows.size(0), moved.size(0), products)) {
      checkStop(this.#points.stop);
      const some = scope(() => {
        const nearest = this.nearest.narrow(0, start, count);
        const upper = this.#upper.narrow(0, start, count);
        const lower = this.#lower.narrow(0, start, count);
        const products = aten.addmm(moverSquares, this.#rows.narrow(0, start, count), movers.t(), 1, -2);
        // A row's own centroid is no other one.
        const ownPlace = place.indexSelect(0, nearest);
        const row = aten.nonzero(ownPlace.ge(0)).select(1, 0);
        const flat = row.mul(moved.size(0)).add(ownPlace.indexSelect(0, row));
        products.reshape([count * moved.size(0)]).indexFill_(0, flat, Infinity);
        const found = twoSmallest(products);
        const bounds = this.#bounds(
          found,
          this.#squares.narrow(0, start, count),
          norms,
          this.#points.precision,
        );
        lower.copy_(aten.minimum(lower, bounds.first));
        return aten.nonzero(upper.ge(lower)).select(1, 0).add(start);
      });
      undecided.push(some);
    }
    const which = aten.cat(undecided, 0);
    if (which.size(0) > 0) this.#assign(centroids, which);
  }

  /**
   * Makes every upper bound the distance to the own centroid, from the differences. Their sum is wrong by (D + 2) u at most,
   * relatively, and each row and centroid by a rounding of its own.
   */
  #tighten(centroids: Tensor): void {
    const which = aten.nonzero(this.#excess).select(1, 0);
    const { relative } = this.#error;
    const rounding = relative / this.#rows.size(1);
    const norms = centroids.norm(2, 1);
    for (const { start, count } of rowBlocks(which.size(0), this.#rows.size(1))) {
      checkStop(this.#points.stop);
      scope(() => {
        const positions = which.narrow(0, start, count);
        const nearest = this.nearest.indexSelect(0, positions);
        const differences = centroids.indexSelect(0, nearest).sub_(this.#rows.indexSelect(0, positions));
        const together = this.#squares.indexSelect(0, positions).sqrt().add_(norms.indexSelect(0, nearest));
        const distances = differences
          .norm(2, 1)
          .mul_(1 + relative)
          .add_(together.mul_(2 * rounding));
        aten.index_copy_(this.#upper, 0, positions, distances);
      });
    }
    this.#excess.zero_();
  }
}

interface TwoSmallest {
  /** (B,) the smallest of each row, where it first stands, and the second smallest (Infinity if there is none). */
  values: Tensor;
  indices: Tensor;
  second: Tensor;
}

/** (B,) each, of distances: at least that to the nearest centroid; at most that to it; at most that to any other. */
interface Bounds {
  upper: Tensor;
  first: Tensor;
  lower: Tensor;
  /** bool: another one may be as near. */
  open: Tensor;
}

/** Overwrites. */
function twoSmallest(numbers: Tensor): TwoSmallest {
  const { values, indices } = numbers.minDim(1);
  numbers.scatter_(1, indices.unsqueeze(1), Infinity);
  return { values, indices, second: numbers.amin(1) };
}
