import { aten, noGrad, scope, type Tensor, tensor, zeros } from '@conquer/torch';
import type { Random } from '../random.js';

export interface KMeansOptions {
  random: Random;
  maxIterations?: number;
  init?: 'k-means++' | 'random';
  /** Stop when the objective falls by less than this fraction of itself. 0: only when no assignment changes. */
  tolerance?: number;
  /** Start from these centroids (k, D) instead of `init`. */
  centroids?: Tensor;
}

export interface KMeansResult {
  /** (N,), the nearest centroid of each row. */
  assignments: Int32Array;
  /** (k, D) */
  centroids: Tensor;
  /** Sum of the squared distances of the rows to their centroids. */
  objective: number;
  iterations: number;
}

/** Numbers in the largest temporary: 64 MB in float32. */
const BLOCK_NUMBERS = 16 * 2 ** 20;
/** Up to this many clusters k-means++ chooses them one by one, each the best of a few. */
const ONE_BY_ONE = 512;

/**
 * Lloyd's k-means on the rows of x (N, D), by blocks of rows: besides x and the centroids there is never more
 * than a block of distances. A cluster that loses its last row moves to the row farthest from its own centroid.
 *
 * The start is k-means++ (Arthur and Vassilvitskii 2007), greedy: of 2 + ln k draws the one that lowers the
 * objective most. Beyond 512 clusters each of 512 rounds draws several at once and keeps them all.
 *
 * The caller owns the centroids.
 * @throws RangeError if there are fewer rows than clusters, or a value is not finite
 */
export function kMeans(x: Tensor, k: number, options: KMeansOptions): KMeansResult {
  const { random, maxIterations = 100, init = 'k-means++', tolerance = 1e-5 } = options;
  checkInput(x, k, options.centroids);
  return scope(() =>
    noGrad(() => {
      const rows = x.detach().to({ dtype: x.dtype === 'float64' ? 'float64' : 'float32' });
      const squares = rows.norm(2, 1).square();
      const total = squares.to({ dtype: 'float64' }).sum().item();
      if (!Number.isFinite(total)) {
        throw new RangeError('k-means: expected finite features, got NaN or infinity');
      }
      let centroids = options.centroids?.detach().to({ dtype: rows.dtype, device: rows.device }).clone();
      centroids ??=
        init === 'random' ? randomStart(rows, k, random) : plusPlusStart(rows, squares, k, random);

      let { assignments, gaps } = assign(rows, squares, centroids);
      let objective = sum(gaps);
      let iterations = 0;
      while (iterations < maxIterations) {
        const moved = scope(() => update(rows, assignments, gaps, k));
        centroids.dispose();
        centroids = moved;
        iterations++;
        const next = assign(rows, squares, centroids);
        const nextObjective = sum(next.gaps);
        const changed = next.assignments.some((cluster, row) => cluster !== assignments[row]);
        const gained = objective - nextObjective;
        ({ assignments, gaps } = next);
        objective = nextObjective;
        // Nothing changes any more even where a cluster is empty: there are fewer distinct rows than clusters.
        if (!changed || (gained <= tolerance * objective && !hasEmpty(assignments, k))) break;
      }
      return { assignments, centroids, objective, iterations };
    }),
  );
}

function checkInput(x: Tensor, k: number, centroids: Tensor | undefined): void {
  if (x.ndim !== 2) throw new RangeError(`k-means: expected features (N, D), got shape [${x.shape}]`);
  if (!Number.isInteger(k) || k < 1 || k > x.size(0)) {
    throw new RangeError(`k-means: expected 1 to ${x.size(0)} clusters for ${x.size(0)} rows, got ${k}`);
  }
  if (centroids && (centroids.size(0) !== k || centroids.size(1) !== x.size(1))) {
    throw new RangeError(`k-means: expected centroids [${k},${x.size(1)}], got [${centroids.shape}]`);
  }
}

/** The nearest centroid of each row and the squared distance to it. */
function assign(
  rows: Tensor,
  squares: Tensor,
  centroids: Tensor,
): { assignments: Int32Array; gaps: Float64Array } {
  const count = rows.size(0);
  const assignments = new Int32Array(count);
  const gaps = new Float64Array(count);
  const blockRows = Math.max(1, Math.floor(BLOCK_NUMBERS / centroids.size(0)));
  for (let start = 0; start < count; start += blockRows) {
    const some = Math.min(blockRows, count - start);
    scope(() => {
      const centroidSquares = centroids.mul(centroids).sum(1);
      const block = rows.narrow(0, start, some);
      const nearest = aten.addmm(centroidSquares, block, centroids.t(), 1, -2).minDim(1);
      gaps.set(
        nearest.values
          .add(squares.narrow(0, start, some))
          .clamp({ min: 0 })
          .toNumbers(),
        start,
      );
      assignments.set(nearest.indices.toNumbers(), start);
    });
  }
  return { assignments, gaps };
}

/** The mean of each cluster's rows; an empty cluster takes the row with the largest gap that is not yet taken. */
function update(rows: Tensor, assignments: Int32Array, gaps: Float64Array, k: number): Tensor {
  const sizes = clusterSizes(assignments, k);
  const sums = zeros([k, rows.size(1)], { dtype: rows.dtype, device: rows.device });
  sums.indexAdd_(0, tensor(assignments, { dtype: 'int64', device: rows.device }), rows);
  const counts = tensor(
    Float64Array.from(sizes, (size) => Math.max(1, size)),
    {
      dtype: rows.dtype,
      device: rows.device,
    },
  );
  const centroids = sums.div(counts.unsqueeze(1));
  const empty = Array.from(sizes.keys()).filter((cluster) => sizes[cluster] === 0);
  if (empty.length > 0) {
    const farthest = Array.from(gaps.keys()).sort(
      (a, b) => (gaps[b] as number) - (gaps[a] as number) || a - b,
    );
    for (const [i, cluster] of empty.entries()) {
      centroids.narrow(0, cluster, 1).copy_(rows.narrow(0, farthest[i] as number, 1));
    }
  }
  return centroids;
}

function randomStart(rows: Tensor, k: number, random: Random): Tensor {
  return selectRows(rows, random.choice(rows.size(0), k));
}

function plusPlusStart(rows: Tensor, squares: Tensor, k: number, random: Random): Tensor {
  const trials = 2 + Math.floor(Math.log(k));
  const perRound = Math.ceil(k / ONE_BY_ONE);
  const chosen = [random.int(rows.size(0))];
  let gaps = scope(() => squaredGaps(rows, squares, [chosen[0] as number]).reshape([rows.size(0)]));
  while (chosen.length < k) {
    const draws = perRound > 1 ? Math.min(perRound, k - chosen.length) : trials;
    const weights = gaps.toNumbers();
    const drawn = drawByWeight(weights, draws, chosen, random);
    const next = scope(() => {
      const lowered = aten.minimum(squaredGaps(rows, squares, drawn), gaps.unsqueeze(1));
      if (perRound > 1) {
        chosen.push(...drawn);
        return lowered.amin(1);
      }
      const best = lowered.sum(0).argmin().item();
      chosen.push(drawn[best] as number);
      return lowered.select(1, best).clone();
    });
    gaps.dispose();
    gaps = next;
  }
  return selectRows(rows, Int32Array.from(chosen));
}

/** Squared distances of all rows to some of them: (N, some). */
function squaredGaps(rows: Tensor, squares: Tensor, some: readonly number[]): Tensor {
  const centres = selectRows(rows, Int32Array.from(some));
  const products = rows.matmul(centres.t());
  return squares.unsqueeze(1).add(centres.mul(centres).sum(1)).sub(products.mul_(2)).clamp_({ min: 0 });
}

/**
 * Distinct rows drawn in proportion to their weights, none of `taken`. Where fewer rows have a weight (the rest
 * equal a chosen one), any others fill up.
 */
function drawByWeight(
  weights: Float64Array,
  count: number,
  taken: readonly number[],
  random: Random,
): number[] {
  for (const row of taken) weights[row] = 0;
  const drawn = new Set<number>();
  const sums = new Float64Array(weights.length);
  let total = 0;
  for (let row = 0; row < weights.length; row++) {
    total += weights[row] as number;
    sums[row] = total;
  }
  // A row drawn twice is drawn again; after many tries the remaining weight is next to nothing.
  for (let tries = 0; tries < 20 * count && drawn.size < count && total > 0; tries++) {
    drawn.add(lowerBound(sums, random.next() * total));
  }
  if (drawn.size === 0) {
    const used = new Set(taken);
    for (let row = 0; row < weights.length && drawn.size < count; row++) {
      if (!used.has(row)) drawn.add(row);
    }
  }
  return [...drawn];
}

/** The first position whose running sum exceeds the value. */
function lowerBound(sums: Float64Array, value: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function selectRows(rows: Tensor, which: Int32Array): Tensor {
  return rows.indexSelect(0, tensor(which, { dtype: 'int64', device: rows.device }));
}

function clusterSizes(assignments: Int32Array, k: number): Int32Array {
  const sizes = new Int32Array(k);
  for (const cluster of assignments) sizes[cluster] = (sizes[cluster] as number) + 1;
  return sizes;
}

function hasEmpty(assignments: Int32Array, k: number): boolean {
  return clusterSizes(assignments, k).includes(0);
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
