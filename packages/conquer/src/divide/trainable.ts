import { counted, UserError } from '@conquer-dml/run';
import type { ClusterBy } from './division-options.js';

/**
 * How many clusters these images can be shared out to at most, so that each holds two classes of two images.
 *
 * @param labels (N,) the class of each image
 * @param clusterBy 'class': all images of a class are in one cluster
 */
export function mostTrainableClusters(labels: Int32Array, clusterBy: ClusterBy = 'image'): number {
  const sizes = new Map<number, number>();
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  const pairs = [...sizes.values()].map((size) => Math.floor(size / 2)).filter((count) => count > 0);
  if (clusterBy === 'class') return Math.floor(pairs.length / 2);
  // A class gives a cluster one of the two pairs that it needs.
  const enoughFor = (clusters: number) =>
    pairs.reduce((sum, count) => sum + Math.min(count, clusters), 0) >= 2 * clusters;
  let most = 0;
  while (enoughFor(most + 1)) most++;
  return most;
}

/**
 * Refuses more learners than the images can give anything to learn, before any image is embedded.
 *
 * @param clusters the most that a division makes, see DivisionSchedule.mostClusters
 * @throws UserError that says how many learners there can be
 */
export function refuseTooManyClusters(
  clusters: number,
  labels: Int32Array,
  clusterBy: ClusterBy = 'image',
): void {
  const most = mostTrainableClusters(labels, clusterBy);
  if (clusters <= most) return;
  const classes = counted(new Set(labels).size, 'class', 'classes');
  if (most === 0) {
    throw new UserError(
      `expected at least two classes of two images to train on, got ${counted(labels.length, 'training image')} of ${classes}`,
    );
  }
  const whole = clusterBy === 'class' ? ', with all images of a class in one cluster' : '';
  const powerOfTwo = 2 ** Math.floor(Math.log2(most));
  throw new UserError(
    `${clusters} learners are too many for ${counted(labels.length, 'training image')} of ${classes}: each needs two classes ` +
      `of two images${whole}; use ${counted(powerOfTwo, 'learner')}${powerOfTwo === 1 ? '' : ' or fewer'}, or more data`,
  );
}

/**
 * Whether every cluster can train: it holds at least two classes with at least two images each, so that there
 * are positives and negatives.
 *
 * @param clusters (N,), -1: in none
 */
export function enoughToTrain(clusters: Int32Array, labels: Int32Array, numClusters: number): boolean {
  const counts = Array.from({ length: numClusters }, () => new Map<number, number>());
  const pairedClasses = new Int32Array(numClusters);
  for (let image = 0; image < clusters.length; image++) {
    const cluster = clusters[image] as number;
    if (cluster === -1) continue;
    const label = labels[image] as number;
    const ofCluster = counts[cluster] as Map<number, number>;
    const count = (ofCluster.get(label) ?? 0) + 1;
    ofCluster.set(label, count);
    if (count === 2) pairedClasses[cluster] = (pairedClasses[cluster] as number) + 1;
  }
  return pairedClasses.every((count) => count >= 2);
}
