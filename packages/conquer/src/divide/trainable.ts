import { counted, UserError } from '@conquer-dml/run';
import { countKinds, type ImagePairs } from '../image-pairs.js';
import { OptionError } from '../option-error.js';
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

/** Training images, and what is known of them. */
export interface TrainedImages {
  /** (N,) classes. */
  labels: Int32Array;
  /** In the place of classes. */
  pairs?: ImagePairs | undefined;
}

/** The same of images that have pairs in the place of classes: each cluster needs one of either kind. */
function mostOfPairs(pairs: ImagePairs): number {
  const { same, different } = countKinds(pairs);
  return Math.min(same, different);
}

/** Whether a cluster holds both images of a pair of either kind. */
export function hasBothKinds({ first, second, same }: ImagePairs, clusters: Int32Array, cluster: number) {
  const inside = [false, false];
  for (const [pair, kind] of same.entries())
    if (clusters[first[pair]!] === cluster && clusters[second[pair]!] === cluster) inside[kind] = true;
  return inside.every(Boolean);
}

/**
 * Refuses more learners than the images can give anything to learn, before any image is embedded.
 *
 * @param clusters the most that a division makes, see DivisionSchedule.mostClusters
 * @param pairs of images that have them in the place of classes
 * @throws UserError that says how many learners there can be
 */
export function refuseTooManyClusters(
  clusters: number,
  labels: Int32Array,
  clusterBy: ClusterBy = 'image',
  pairs?: ImagePairs | undefined,
): void {
  if (pairs && clusterBy === 'class')
    throw new OptionError(
      'divide.clusterBy',
      'pairs have no classes that could be clustered: expected image',
    );
  const most = pairs ? mostOfPairs(pairs) : mostTrainableClusters(labels, clusterBy);
  if (clusters <= most) return;
  if (pairs)
    throw new UserError(
      `${clusters} learners are too many for ${counted(pairs.same.length, 'pair')}: each needs one that is the same and one that is different; use ${counted(Math.max(1, most), 'learner')} or fewer, or more data`,
    );
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
 * Whether every cluster can train: it holds at least two classes with at least two images each, or a pair of either kind, so that
 * there are positives and negatives.
 *
 * @param clusters (N,), -1: in none
 */
export function enoughToTrain(
  clusters: Int32Array,
  { labels, pairs }: TrainedImages,
  numClusters: number,
): boolean {
  if (pairs)
    return Array.from({ length: numClusters }, (_, cluster) => cluster).every((cluster) =>
      hasBothKinds(pairs, clusters, cluster),
    );
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
