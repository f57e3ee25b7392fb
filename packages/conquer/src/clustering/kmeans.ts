import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { centre } from '../neighbours/product-filter.js';
import type { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { CentredRows } from './centred-rows.js';
import { ClusterSums } from './cluster-sums.js';
import { ElkanCentroids } from './elkan-centroids.js';
import { FewNearestCentroids } from './few-centroids.js';
import { plusPlusStart, randomStart, startRows } from './kmeans-start.js';
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
  /**
   * Look for the centroids among so many random rows for each, where there are more, and put the others to the nearest;
   * default null: among all rows.
   */
  sample?: number | null;
  /** Told after each round of new centroids over all rows, how many there were. */
  onRound?: ((rounds: number) => void) | undefined;
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
  const { random, sample = null, maxIterations = 100, stop } = options;
  if (sample !== null && x.size(0) > sample * k) {
    const found = kMeans(someRows(x, sample * k, random), k, { ...options, sample: null });
    const all = iterations(x, k, { random, stop, centroids: found.centroids, maxIterations: 0 });
    return { ...all, iterations: found.iterations };
  }
  const points = new CentredRows(x, options.centroids ?? null, stop);
  const { space } = points;
  const start = points.representable(startOf(points, k, options));
  const clusters = nearestOf(points, k);
  clusters.assignAll(start);
  const moved = maxIterations > 0 ? lloyd(points, clusters, start, options) : { centroids: start, rounds: 0 };
  const { centroids, rounds } = moved;
  const gaps = points.squaredGaps(centroids, clusters.nearest);
  return {
    assignments: Int32Array.from(clusters.nearest.toNumbers()),
    centroids: points.outOf(centroids),
    objective: sum(gaps) / space.scale ** 2,
    iterations: rounds,
  };
}

/**
 * Where the centroids begin, (k, D) in the rows' space. Of many rows k-means++ looks at a random part, and k-means is done with
 * that part first: rounds over all rows begin near their end.
 */
function startOf(points: CentredRows, k: number, options: KMeansOptions): Tensor {
  const { random, init = 'k-means++', centroids, tolerance = 1e-5, stop } = options;
  const { space, precision, given } = points;
  const within = (some: Tensor) => centre(some.detach().to({ device: given.device }), space, precision);
  if (centroids) return within(centroids);
  if (init === 'random') return randomStart(points.rows, k, random);
  const sample = startRows(k);
  if (points.count <= sample) return plusPlusStart(points, k, random);
  const part = kMeans(someRows(given, sample, random), k, { random, stop, tolerance });
  return within(part.centroids);
}

/** Rounds of new centroids, from those that the rows are assigned to. */
function lloyd(points: CentredRows, clusters: Clusters, start: Tensor, options: KMeansOptions) {
  const { maxIterations = 100, tolerance = 1e-5, onRound, stop } = options;
  const sums = new ClusterSums(points, start.size(0));
  const objectiveOf = (of: Tensor) =>
    sums.objective(of, points.total) ?? sum(points.squaredGaps(of, clusters.nearest));
  sums.assign(clusters.nearest);
  let centroids = start;
  let objective = objectiveOf(centroids);
  let rounds = 0;
  while (rounds < maxIterations) {
    checkStop(stop);
    const before: Tensor = centroids;
    centroids = scope(() => points.representable(sums.means(before, clusters.nearest)));
    clusters.follow(before, centroids);
    before.dispose();
    rounds++;
    onRound?.(rounds);
    const changed = sums.assign(clusters.nearest);
    const nextObjective = objectiveOf(centroids);
    const gained = objective - nextObjective;
    objective = nextObjective;
    // Nothing changes any more even where a cluster is empty: there are fewer distinct rows than clusters.
    if (changed === 0 || (gained <= tolerance * objective && sums.empty().length === 0)) break;
  }
  return { centroids, rounds };
}

type Clusters = FewNearestCentroids | ElkanCentroids | NearestCentroids;

function nearestOf(points: CentredRows, k: number): Clusters {
  if (FewNearestCentroids.fits(points, k)) return new FewNearestCentroids(points);
  if (ElkanCentroids.fits(points, k)) return new ElkanCentroids(points, k);
  return new NearestCentroids(points);
}

function someRows(rows: Tensor, count: number, random: Random): Tensor {
  const which = tensor(random.choice(rows.size(0), count), { dtype: 'int64', device: rows.device });
  return rows.detach().indexSelect(0, which);
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
