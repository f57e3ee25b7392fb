import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { centre } from '../neighbours/product-filter.js';
import type { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { CentredRows } from './centred-rows.js';
import { ClusterSums } from './cluster-sums.js';
import { ElkanCentroids } from './elkan-centroids.js';
import { plusPlusStart, randomStart } from './kmeans-start.js';
import { NearestCentroids } from './nearest-centroids.js';

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
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
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
 * that loses its last row moves to the row farthest from its own centroid. It works on a copy of x less its mean, times a
 * power of two: how far from the origin or how large the rows are makes no difference.
 *
 * The caller owns the centroids.
 * @throws RangeError if x is not (N, D), k is not a whole number from 1 to N, given centroids are not (k, D),
 *   or a value is not finite
 * @throws Interrupted after `stop`
 */
export function kMeans(x: Tensor, k: number, options: KMeansOptions): KMeansResult {
  checkInput(x, k, options.centroids);
  return scope(() => noGrad(() => iterations(x, k, options)));
}

function iterations(x: Tensor, k: number, options: KMeansOptions): KMeansResult {
  const { random, maxIterations = 100, init = 'k-means++', tolerance = 1e-5, stop } = options;
  const points = new CentredRows(x, options.centroids ?? null, stop);
  const { space, precision } = points;
  const started: Tensor = options.centroids
    ? centre(options.centroids.detach().to({ device: x.device }), space, precision)
    : init === 'random'
      ? randomStart(points.rows, k, random)
      : plusPlusStart(points, k, random);
  let centroids = points.representable(started);
  const clusters = ElkanCentroids.fits(points, k)
    ? new ElkanCentroids(points, k)
    : new NearestCentroids(points);
  const sums = new ClusterSums(points, k);
  const objectiveOf = (of: Tensor) =>
    sums.objective(of, points.total) ?? sum(points.squaredGaps(of, clusters.nearest));
  clusters.assignAll(centroids);
  sums.assign(clusters.nearest);
  let objective = objectiveOf(centroids);
  let iterations = 0;
  while (iterations < maxIterations) {
    checkStop(stop);
    const before: Tensor = centroids;
    centroids = scope(() => points.representable(sums.means(before, clusters.nearest)));
    clusters.follow(before, centroids);
    before.dispose();
    iterations++;
    const changed = sums.assign(clusters.nearest);
    const nextObjective = objectiveOf(centroids);
    const gained = objective - nextObjective;
    objective = nextObjective;
    // Nothing changes any more even where a cluster is empty: there are fewer distinct rows than clusters.
    if (changed === 0 || (gained <= tolerance * objective && sums.empty().length === 0)) break;
  }
  const gaps = points.squaredGaps(centroids, clusters.nearest);
  const assignments = Int32Array.from(clusters.nearest.toNumbers());
  return {
    assignments,
    centroids: points.outOf(centroids),
    objective: sum(gaps) / space.scale ** 2,
    iterations,
  };
}

function sum(numbers: Float64Array): number {
  return numbers.reduce((a, b) => a + b, 0);
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
