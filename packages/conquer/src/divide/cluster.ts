import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { kMeans } from '../clustering/kmeans.js';
import type { Random } from '../random.js';
import type { StopCheck } from '../stop-check.js';
import { enoughToTrain, type TrainedImages } from './trainable.js';

/** How often a clustering is tried anew, with another start, before the last one is taken as it is. */
export const CLUSTERING_TRIALS = 30;

export interface Clustered {
  /** (N,), 0..numClusters-1 */
  clusters: Int32Array;
  /** A sentence if no trial gave every cluster enough to train on. */
  notes: string[];
}

export interface ClusterOptions {
  random: Random;
  /** Default 30. */
  trials?: number;
  /** (numClusters, F) to start the first try from. */
  centroids?: Tensor | null;
  /** Rows for each cluster among which k-means looks for them; default null: all. */
  sample?: number | null;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

/**
 * k-means on the features (N, F), repeated with other starts until every cluster holds at least two classes of
 * two images, or pairs of both kinds.
 *
 * @throws UserError where all features are one point: the embedding has collapsed
 */
export function clusterFeatures(
  features: Tensor,
  images: TrainedImages,
  numClusters: number,
  { random, trials = CLUSTERING_TRIALS, centroids = null, sample = null, stop }: ClusterOptions,
): Clustered {
  if (numClusters === 1) return { clusters: new Int32Array(images.labels.length), notes: [] };
  refuseOnePoint(features);
  let clusters: Int32Array = new Int32Array(0);
  for (let trial = 0; trial < trials; trial++) {
    const start = trial === 0 && centroids !== null ? { centroids } : {};
    const result = kMeans(features, numClusters, { random, sample, stop, ...start });
    result.centroids.dispose();
    clusters = result.assignments;
    if (enoughToTrain(clusters, images, numClusters)) return { clusters, notes: [] };
  }
  const what = `no clustering into ${numClusters} in ${trials} tries gave each cluster ${images.pairs ? 'pairs of both kinds' : 'two classes of two images'}`;
  const empty = numClusters - new Set(clusters).size;
  const without = empty === 0 ? '' : `, in which ${empty === 1 ? '1 is' : `${empty} are`} empty`;
  return { clusters, notes: [`${what}; the last one is used${without}`] };
}

/** Rows are one point where they all lie so near their mean, for its length. */
const ONE_POINT = 1e-6;
/** Rows that are looked at at once. */
const POINT_ROWS = 4096;

/** @throws UserError where there is nothing to divide */
function refuseOnePoint(features: Tensor): void {
  if (features.size(0) < 2 || !liesInOnePoint(features)) return;
  throw new UserError(
    `all ${features.size(0)} images are embedded as one point, so that there is nothing to divide: the embedding has collapsed; try a lower learning rate, or start from pretrained weights`,
  );
}

/** Some rows at a time, until one lies apart: of a million that is known by the first ones. */
function liesInOnePoint(features: Tensor): boolean {
  return scope(() =>
    noGrad(() => {
      const mean = features.mean(0);
      const most = ONE_POINT * mean.square().sum().sqrt().item();
      const rows = features.size(0);
      for (let start = 0; start < rows; start += POINT_ROWS) {
        const some = features.narrow(0, start, Math.min(POINT_ROWS, rows - start));
        const isApart = scope(() => some.sub(mean).square().sum(1).max().sqrt().item() > most);
        if (isApart) return false;
      }
      return true;
    }),
  );
}
