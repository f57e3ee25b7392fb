import { addToClusters, arange, aten, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { centre } from '../neighbours/product-filter.js';
import { checkStop } from '../stop-check.js';
import type { CentredRows } from './centred-rows.js';

/** Numbers that are added at a time: 2 MB in float64, which the processor's cache can hold. */
const NUMBERS = 2 ** 18;

/** What must be left of Σ |x|² and its like, which are sums in float64, to be trusted. */
const LEFT = 1e-4;

/**
 * The sum and number of the rows of each cluster, kept while rows change clusters: only those are added and taken
 * away. In float64, so that little is lost on the way.
 */
export class ClusterSums {
  readonly #points: CentredRows;
  /** (k, D), of the rows as they were given */
  readonly #sums: Tensor;
  /** (k,), float64 */
  readonly #counts: Tensor;
  /** (N,) int64, of the last time; before the first time null. */
  #clusters: Tensor | null = null;

  constructor(points: CentredRows, k: number) {
    const { rows } = points;
    this.#points = points;
    this.#sums = zeros([k, rows.size(1)], { dtype: 'float64', device: rows.device });
    this.#counts = zeros([k], { dtype: 'float64', device: rows.device });
  }

  /** @param clusters (N,) int64 @returns how many rows changed their cluster */
  assign(clusters: Tensor): number {
    const before = this.#clusters;
    const { given, precision } = this.#points;
    const changed =
      precision === 'float32' && given.device === 'cpu'
        ? addToClusters(given, before, clusters, this.#sums, this.#counts)
        : this.#assign(before, clusters);
    this.#clusters = clusters.clone();
    before?.dispose();
    return changed;
  }

  #assign(before: Tensor | null, clusters: Tensor): number {
    return scope(() => {
      const { device } = clusters;
      const which = before
        ? aten.nonzero(clusters.ne(before)).select(1, 0)
        : arange(0, clusters.size(0), 1, { device });
      const count = which.size(0);
      const rows = Math.max(1, Math.floor(NUMBERS / this.#sums.size(1)));
      for (let start = 0; start < count; start += rows) {
        checkStop(this.#points.stop);
        scope(() => {
          const positions = which.narrow(0, start, Math.min(rows, count - start));
          const some = this.#points.givenAt(positions);
          this.#add(clusters.indexSelect(0, positions), some, 1);
          if (before) this.#add(before.indexSelect(0, positions), some, -1);
        });
      }
      return count;
    });
  }

  #add(clusters: Tensor, rows: Tensor, sign: number): void {
    aten.index_add_(this.#sums, 0, clusters, rows, sign);
    this.#counts.add_(clusters.bincount(this.#counts.size(0)).mul(sign));
  }

  /** The clusters without rows. */
  empty(): number[] {
    const counts = this.#counts.toNumbers();
    return Array.from(counts.keys()).filter((cluster) => counts[cluster] === 0);
  }

  /**
   * Σ |x - c|² over the rows and these centroids (k, D) of their clusters: Σ |x|² - 2 Σ s·c + Σ n |c|², where s is the
   * sum of a cluster's n rows.
   *
   * @param total Σ |x|²
   * @returns null where so little is left of the terms that it must come from the differences
   */
  objective(centroids: Tensor, total: number): number | null {
    const objective = scope(() => {
      const { scale, mean } = this.#points.space;
      const precise = centroids.to({ dtype: 'float64' });
      const counts = this.#counts.unsqueeze(1);
      const sums = this.#sums.mul(scale).sub_(counts.mul(mean));
      return total + precise.mul(counts).sub_(sums.mul_(2)).mul_(precise).sum().item();
    });
    return objective > LEFT * total ? objective : null;
  }

  /**
   * The mean of each cluster's rows (k, D). An empty cluster takes the row farthest from its centroid that is not yet
   * taken.
   */
  means(before: Tensor, nearest: Tensor): Tensor {
    const counts = this.#counts.clamp({ min: 1 });
    const { space, precision } = this.#points;
    const means = centre(this.#sums.div(counts.unsqueeze(1)), space, 'float64').to({ dtype: precision });
    const empty = this.empty();
    if (empty.length > 0) {
      const gaps = this.#points.squaredGaps(before, nearest);
      const farthest = Array.from(gaps.keys()).sort(
        (a, b) => (gaps[b] as number) - (gaps[a] as number) || a - b,
      );
      for (const [i, cluster] of empty.entries()) {
        means.narrow(0, cluster, 1).copy_(this.#points.rows.narrow(0, farthest[i] as number, 1));
      }
    }
    return means;
  }
}
