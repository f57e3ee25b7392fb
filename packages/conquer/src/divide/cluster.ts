import type { Tensor } from '@conquer/torch';
import { kMeansSteps } from '../distances/kmeans.js';
import type { Steps } from '../distances/steps.js';
import type { Random } from '../random.js';
import { enoughToTrain } from './trainable.js';

/** How often a clustering is tried anew, with another start, before the last one is taken as it is. */
export const CLUSTERING_TRIALS = 30;

export interface Clustered {
  /** (N,), 0..numClusters-1 */
  clusters: Int32Array;
  /** A sentence if no trial gave every cluster enough to train on. */
  notes: string[];
}

/**
 * k-means on the features (N, F), repeated with other starts until every cluster holds at least two classes of
 * two images.
 *
 * @param centroids (numClusters, F) to start the first try from
 */
export function* clusterFeatures(
  features: Tensor,
  labels: Int32Array,
  numClusters: number,
  random: Random,
  trials = CLUSTERING_TRIALS,
  centroids: Tensor | null = null,
): Steps<Clustered> {
  if (numClusters === 1) return { clusters: new Int32Array(labels.length), notes: [] };
  let clusters: Int32Array = new Int32Array(0);
  for (let trial = 0; trial < trials; trial++) {
    const start = trial === 0 && centroids !== null ? { centroids } : {};
    const result = yield* kMeansSteps(features, numClusters, { random, ...start });
    result.centroids.dispose();
    clusters = result.assignments;
    if (enoughToTrain(clusters, labels, numClusters)) return { clusters, notes: [] };
  }
  const what = `no clustering into ${numClusters} in ${trials} tries gave each cluster two classes of two images`;
  return { clusters, notes: [`${what}; the last one is used`] };
}
