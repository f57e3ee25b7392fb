import { arange, aten, empty, full, scope, type Tensor, zeros } from '@conquer/torch';
import { inScope, type Steps } from './steps.js';

/** Numbers in the largest temporary: 64 MB in float32. */
const BLOCK_NUMBERS = 16 * 2 ** 20;

// What reading a row, and what gathering one from among others, costs beside its product with one centroid.
const PASS = 40;
const GATHER = 200;

/**
 * Which of k centroids is nearest to each row, kept while the centroids move. Exact (up to rounding), but a row is only
 * looked at again where the triangle inequality allows its nearest centroid to have changed (Elkan 2003, Hamerly 2010):
 * each row knows its distance to its own centroid and a lower bound of that to every other.
 *
 * All tensors are on the rows' device. There is never more than a block of distances.
 */
export class NearestCentroids {
  /** (N,) int64 */
  readonly nearest: Tensor;
  readonly #rows: Tensor;
  /** (N,), the rows' squared norms */
  readonly #squares: Tensor;
  /** (N,), at least the distance to the nearest centroid. */
  readonly #upper: Tensor;
  /** (N,), by how much `upper` may be too large. */
  readonly #excess: Tensor;
  /** (N,), at most the distance to any other centroid. */
  readonly #lower: Tensor;

  /** @param rows (N, D) @param squares (N,) their squared norms; both must outlive this */
  constructor(rows: Tensor, squares: Tensor) {
    const count = rows.size(0);
    const { dtype, device } = rows;
    this.#rows = rows;
    this.#squares = squares;
    this.nearest = zeros([count], { dtype: 'int64', device });
    this.#upper = empty([count], { dtype, device });
    this.#lower = empty([count], { dtype, device });
    this.#excess = zeros([count], { dtype, device });
  }

  /** Looks at every row and every centroid, in steps of a block of distances. */
  assignAll(centroids: Tensor): Steps<void> {
    return inScope(this.#assign(centroids, null));
  }

  /**
   * The centroids went from `before` to `after`, both (k, D). Takes the cheapest of three ways:
   * all rows, the rows whose bounds cross when everything moves as far as the farthest, or, where few centroids
   * moved, those centroids for all rows, and the few rows that this does not decide.
   */
  follow(before: Tensor, after: Tensor): Steps<void> {
    return inScope(this.#follow(before, after));
  }

  *#follow(before: Tensor, after: Tensor): Steps<void> {
    const count = this.#rows.size(0);
    const k = after.size(0);
    const drift = after.sub(before).norm(2, 1);
    const moved = aten.nonzero(drift).select(1, 0);
    if (moved.size(0) === 0) return;
    const own = drift.indexSelect(0, this.nearest);
    const upper = this.#upper.add(own);
    const lower = this.#lower.sub(drift.max());
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
      yield* this.#assignMoved(after, moved);
    } else if (cost.crossing < cost.all) {
      this.#upper.copy_(upper);
      this.#lower.copy_(lower);
      this.#excess.add_(own);
      if (some > 0) yield* this.#assign(after, crossing);
    } else {
      yield* this.#assign(after, null);
    }
  }

  /** (N,), the squared distances to the nearest centroids, from the differences. */
  gaps(centroids: Tensor): Float64Array {
    const gaps = new Float64Array(this.#rows.size(0));
    for (const { start, count } of blocks(gaps.length, 16 * this.#rows.size(1))) {
      const values = scope(() => this.#difference(centroids, start, count).norm(2, 1).square().toNumbers());
      gaps.set(values, start);
    }
    return gaps;
  }

  #difference(centroids: Tensor, start: number, count: number): Tensor {
    const own = centroids.indexSelect(0, this.nearest.narrow(0, start, count));
    return own.sub_(this.#rows.narrow(0, start, count));
  }

  /** Some rows (their positions, or null: all) against all centroids. */
  *#assign(centroids: Tensor, which: Tensor | null): Steps<void> {
    const total = which === null ? this.#rows.size(0) : which.size(0);
    const widest = Math.max(centroids.size(0), which === null ? 0 : this.#rows.size(1));
    const centroidSquares = centroids.mul(centroids).sum(1);
    for (const { start, count } of blocks(total, widest)) {
      scope(() => {
        const positions = which?.narrow(0, start, count);
        const take = (from: Tensor) =>
          positions ? from.indexSelect(0, positions) : from.narrow(0, start, count);
        const put = (into: Tensor, values: Tensor) =>
          positions
            ? aten.index_copy_(into, 0, positions, values)
            : into.narrow(0, start, count).copy_(values);
        const { values, indices, second } = twoSmallest(
          aten.addmm(centroidSquares, take(this.#rows), centroids.t(), 1, -2),
        );
        const squares = take(this.#squares);
        put(this.nearest, indices);
        put(this.#upper, toDistance(values, squares));
        put(this.#lower, toDistance(second, squares));
        put(this.#excess, zeros([count], { dtype: squares.dtype, device: squares.device }));
      });
      yield;
    }
  }

  /** All rows against the centroids that moved, then the rows that need the others too. */
  *#assignMoved(centroids: Tensor, moved: Tensor): Steps<void> {
    this.#tighten(centroids);
    const movers = centroids.indexSelect(0, moved);
    const moverSquares = movers.mul(movers).sum(1);
    const { device } = this.#rows;
    // Where each centroid stands among the movers; those that did not move: nowhere.
    const place = full([centroids.size(0)], -1, { dtype: 'int64', device });
    const places = arange(0, moved.size(0), 1, { device });
    aten.index_copy_(place, 0, moved, places);
    const undecided: Tensor[] = [];
    for (const { start, count } of blocks(this.#rows.size(0), moved.size(0))) {
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
        const { values, indices, second } = twoSmallest(products);
        const squares = this.#squares.narrow(0, start, count);
        const other = toDistance(values, squares);
        const next = toDistance(second, squares);
        const wins = other.lt(upper).logicalAnd(other.le(lower));
        const open = aten.minimum(upper, other).gt(lower);
        const newLower = aten.minimum(lower, aten.where$self(wins, aten.minimum(upper, next), other));
        nearest.copy_(aten.where$self(wins, moved.indexSelect(0, indices), nearest));
        upper.copy_(aten.minimum(upper, aten.where$self(wins, other, upper)));
        lower.copy_(newLower);
        return aten.nonzero(open).select(1, 0).add(start);
      });
      undecided.push(some);
      yield;
    }
    const which = aten.cat(undecided, 0);
    if (which.size(0) > 0) yield* this.#assign(centroids, which);
  }

  /** Makes every upper bound the distance to the own centroid. */
  #tighten(centroids: Tensor): void {
    const which = aten.nonzero(this.#excess).select(1, 0);
    for (const { start, count } of blocks(which.size(0), this.#rows.size(1))) {
      scope(() => {
        const positions = which.narrow(0, start, count);
        const own = centroids.indexSelect(0, this.nearest.indexSelect(0, positions));
        const distances = own.sub_(this.#rows.indexSelect(0, positions)).norm(2, 1);
        aten.index_copy_(this.#upper, 0, positions, distances);
      });
    }
    this.#excess.zero_();
  }
}

/** Blocks of rows, so that `width` numbers for each fit a block. */
function* blocks(total: number, width: number): Generator<{ start: number; count: number }> {
  const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / width));
  for (let start = 0; start < total; start += rows) yield { start, count: Math.min(rows, total - start) };
}

/** The smallest of each row, the first place of it, and the second smallest (Infinity if there is none). Overwrites. */
function twoSmallest(numbers: Tensor): { values: Tensor; indices: Tensor; second: Tensor } {
  const { values, indices } = numbers.minDim(1);
  numbers.scatter_(1, indices.unsqueeze(1), Infinity);
  return { values, indices, second: numbers.amin(1) };
}

/** |x - c| from |c|² - 2xc and |x|². */
function toDistance(partial: Tensor, squares: Tensor): Tensor {
  return partial.add(squares).clamp_({ min: 0 }).sqrt();
}
