import { scope, type Tensor } from '@conquer/torch';
import type { Random } from '../random.js';
import { ClusterSums } from './cluster-sums.js';
import { plusPlusStart, randomStart } from './kmeans-start.js';
import { NearestCentroids } from './nearest-centroids.js';
import { inOneGo, inScope, type Steps } from './steps.js';

export interface KMeansOptions {
  /** Draws the start; nothing is drawn with `centroids`. */
  random: Random;
  /** Rounds of new centroids at most; default 100. */
  maxIterations?: number;
  /** Default 'k-means++' (Arthur and Vassilvitskii 2007, greedy); 'random' takes k rows. */
  init?: 'k-means++' | 'random';
  /**
   * Stop when the objective falls by no more than this fraction of itself; default 1e-5. 0: only when it does
   * not fall, or no assignment changes.
   */
  tolerance?: number;
  /** Start from these centroids (k, D) instead of `init`; they stay as they are. */
  centroids?: Tensor;
}

export interface KMeansResult {
  /** (N,), the nearest centroid of each row. */
  assignments: Int32Array;
  /** (k, D) on the rows' device, float64 if they are, else float32. They belong to the caller. */
  centroids: Tensor;
  /** Sum of the squared distances of the rows to the centroids that they are assigned to. */
  objective: number;
  /** Rounds of new centroids. */
  iterations: number;
}

/**
 * Lloyd's k-means on the rows of x (N, D), by blocks of rows: besides x and the centroids there is never more
 * than a block of distances, and a row whose nearest centroid cannot have changed is passed over. A cluster
 * that loses its last row moves to the row farthest from its own centroid.
 *
 * The caller owns the centroids.
 * @throws RangeError if x is not (N, D), k is not a whole number from 1 to N, given centroids are not (k, D),
 *   or a value is not finite
 */
export function kMeans(x: Tensor, k: number, options: KMeansOptions): KMeansResult {
  return inOneGo(kMeansSteps(x, k, options));
}

/** The same in steps: a round of the start, or a block of distances. */
export function kMeansSteps(x: Tensor, k: number, options: KMeansOptions): Steps<KMeansResult> {
  checkInput(x, k, options.centroids);
  return inScope(iterations(x, k, options));
}

function* iterations(x: Tensor, k: number, options: KMeansOptions): Steps<KMeansResult> {
  const { random, maxIterations = 100, init = 'k-means++', tolerance = 1e-5 } = options;
  const rows = x.detach().to({ dtype: x.dtype === 'float64' ? 'float64' : 'float32' });
  const squares = rows.norm(2, 1).square();
  const total = squares.to({ dtype: 'float64' }).sum().item();
  if (!Number.isFinite(total)) {
    throw new RangeError('k-means: expected finite features, got NaN or infinity');
  }
  let centroids: Tensor =
    options.centroids?.detach().to({ dtype: rows.dtype, device: rows.device }).clone() ??
    (init === 'random' ? randomStart(rows, k, random) : yield* plusPlusStart(rows, squares, k, random));
  const clusters = new NearestCentroids(rows, squares);
  const sums = new ClusterSums(rows, k);
  yield* clusters.assignAll(centroids);
  sums.assign(clusters.nearest);
  let objective = sums.objective(centroids, total);
  let iterations = 0;
  while (iterations < maxIterations) {
    const before: Tensor = centroids;
    centroids = scope(() => sums.means(before, clusters));
    yield* clusters.follow(before, centroids);
    before.dispose();
    iterations++;
    const changed = sums.assign(clusters.nearest);
    const nextObjective = sums.objective(centroids, total);
    const gained = objective - nextObjective;
    objective = nextObjective;
    // Nothing changes any more even where a cluster is empty: there are fewer distinct rows than clusters.
    if (changed === 0 || (gained <= tolerance * objective && sums.empty().length === 0)) break;
    yield;
  }
  const gaps = clusters.gaps(centroids);
  const assignments = Int32Array.from(clusters.nearest.toNumbers());
  return { assignments, centroids, objective: gaps.reduce((a, b) => a + b, 0), iterations };
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
