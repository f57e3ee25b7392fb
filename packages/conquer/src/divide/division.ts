import { counted, type Division } from '@conquer-dml/run';
import { aten, noGrad, scope, stack, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import type { z } from 'zod';
import type { Compat } from '../compat.js';
import type { ImagePairs } from '../image-pairs.js';
import { withDefaults } from '../part.js';
import type { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { clusterFeatures } from './cluster.js';
import { divisionOptions } from './division-options.js';
import { reassignClusters } from './reassign.js';
import { dropSingles } from './singles.js';
import { splitClusters } from './split.js';

/** Rows that are added up at a time in float64. */
const MEAN_ROWS = 4096;

export interface DivideOptions extends z.input<typeof divisionOptions> {
  /** (N, F) features of all training images, in the order of `labels`; null will do for a single cluster. */
  features: Tensor | null;
  /** (N,) the class of each training image. */
  labels: Int32Array;
  /** In the place of classes, where there are none: pairs of these images. */
  pairs?: ImagePairs | undefined;
  /** The division in force so far, null at the start. */
  previous: Division | null;
  /** Clusters of the k-means; by default as many as `previous` has, or one. */
  numClusters?: number;
  /**
   * Split each cluster in two, or merge clusters in pairs, until there are so many; default `numClusters`.
   * Their ratio is a power of two.
   */
  numLearners?: number;
  /** Noted in the division. */
  epoch: number;
  /** Draws the starts of the k-means, and the numbers for 'random'. */
  random: Random;
  /** 'dcesml': its reassignment, see `reassignClusters`. */
  compat?: Compat | null;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

/**
 * The next division, as in the papers' top-down variant (Sanakoyeu et al., arXiv 2109.04003, algorithm 1):
 * cluster the features, give the clusters back to the learners that know them best, split them in two where
 * the learners double, leave out images that are alone of their class in a cluster.
 *
 * At a doubling, clusters 2c and 2c + 1 are the halves of cluster c; bottom-up, they become cluster c.
 * @throws RangeError if `numLearners` is not `numClusters` doubled or halved some times, or k-means cannot
 *   work on the features (fewer images than clusters, NaN); Error if several learners have no features
 * @throws Interrupted after `stop`
 */
export function divide(options: DivideOptions): Division {
  return scope(() => noGrad(() => division(options)));
}

function division(options: DivideOptions): Division {
  const { labels, pairs, previous, epoch, random, compat, stop } = options;
  const images = { labels, pairs };
  const { clustering, recluster, clusterBy, clusterSample } = withDefaults('divide', divisionOptions, {
    clustering: options.clustering,
    recluster: options.recluster,
    clusterBy: options.clusterBy,
    clusterSample: options.clusterSample,
  });
  const notes: string[] = [];
  let numClusters = options.numClusters ?? previous?.numClusters ?? 1;
  const numLearners = options.numLearners ?? numClusters;
  checkDoubling(numClusters, numLearners);
  if (numLearners === 1) return undivided(labels, epoch, pairs);
  const given = options.features;
  if (!given) throw new Error(`divide: expected features to make ${numLearners} clusters, got none`);
  const features = clusterBy === 'class' ? classMeans(given, labels, stop) : given;
  const known = previous?.numClusters === numClusters ? previous.clusters : null;
  const adaptive = clustering === 'adaptive-centroids' && known !== null;
  const centroids = adaptive ? clusterMeans(features, known, numClusters) : null;
  const how = { random, sample: clusterSample, stop };
  const clustered = clusterFeatures(features, images, numClusters, { ...how, centroids });
  notes.push(...clustered.notes);
  let clusters = clustered.clusters;
  if (recluster === 'random') {
    const numbers = random.permutation(numClusters);
    clusters = clusters.map((cluster) => numbers[cluster] as number);
  }
  let moved = 0;
  if (known) {
    if (recluster === 'reassign') {
      clusters = reassignClusters(known, clusters, numClusters, { compat }).clusters;
    }
    moved = clusters.reduce((n, cluster, i) => n + Number(known[i] !== -1 && known[i] !== cluster), 0);
  }
  while (numClusters < numLearners) {
    const split = splitClusters(features, clusters, images, numClusters, how);
    clusters = split.clusters;
    notes.push(...split.notes);
    numClusters *= 2;
  }
  for (; numClusters > numLearners; numClusters /= 2) clusters = clusters.map((cluster) => cluster >> 1);
  clusters = dropSingles(clusters, images);
  if (pairs) notes.push(pairsAcross(pairs, clusters));
  return { ...describe(clusters, labels, numClusters), epoch, moved, notes };
}

/**
 * All images in one cluster: what training starts from. An image that is the only one of its class is left
 * out; one that is in no pair, where there are pairs in the place of classes.
 * @param labels (N,)
 */
export function undivided(labels: Int32Array, epoch = 0, pairs?: ImagePairs | undefined): Division {
  const clusters = dropSingles(new Int32Array(labels.length), { labels, pairs });
  return { ...describe(clusters, labels, 1), epoch, moved: 0, notes: [] };
}

/** No learner of a division sees a pair whose images are in two clusters. */
function pairsAcross({ first, second }: ImagePairs, clusters: Int32Array): string {
  const inside = first.filter((image, pair) => {
    const cluster = clusters[image];
    return cluster !== -1 && cluster === clusters[second[pair]!];
  });
  return `${first.length - inside.length} of ${counted(first.length, 'pair')} are across clusters, and no learner's`;
}

function describe(clusters: Int32Array, labels: Int32Array, numClusters: number) {
  const sizes = new Array<number>(numClusters).fill(0);
  const classes = Array.from({ length: numClusters }, () => new Set<number>());
  let leftOut = 0;
  for (let image = 0; image < clusters.length; image++) {
    const cluster = clusters[image] as number;
    if (cluster === -1) leftOut++;
    else {
      sizes[cluster] = (sizes[cluster] as number) + 1;
      classes[cluster]?.add(labels[image] as number);
    }
  }
  return { clusters, numClusters, sizes, classCounts: classes.map((set) => set.size), leftOut };
}

/** The mean feature of each cluster, (numClusters, F); null where a cluster is empty, so that it has none. */
function clusterMeans(features: Tensor, clusters: Int32Array, numClusters: number): Tensor | null {
  const members = Array.from({ length: numClusters }, () => [] as number[]);
  for (const [image, cluster] of clusters.entries()) members[cluster]?.push(image);
  if (members.some((images) => images.length === 0)) return null;
  const mean = (images: number[]) => {
    const own = features.indexSelect(0, tensor(images, { dtype: 'int64', device: features.device }));
    return aten.mean$dim(own, [0], false, 'float64').to({ dtype: features.dtype });
  };
  return stack(members.map(mean));
}

/** (N, F): in each image's place the mean of its class. */
function classMeans(features: Tensor, labels: Int32Array, stop: StopCheck | undefined): Tensor {
  const numClasses = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  const { device } = features;
  const index = tensor(labels, { dtype: 'int64', device });
  const counts = index.bincount(numClasses).to('float64').unsqueeze(1);
  // In float64: features far from the origin would lose what tells classes apart.
  const sums = zeros([numClasses, features.size(1)], { dtype: 'float64', device });
  for (let start = 0; start < labels.length; start += MEAN_ROWS) {
    checkStop(stop);
    scope(() => {
      const count = Math.min(MEAN_ROWS, labels.length - start);
      sums.indexAdd_(0, index.narrow(0, start, count), features.narrow(0, start, count).to('float64'));
    });
  }
  return sums
    .div(counts.clamp({ min: 1 }))
    .to({ dtype: features.dtype })
    .indexSelect(0, index);
}

function checkDoubling(from: number, to: number): void {
  const steps = Math.abs(Math.log2(to / from));
  if (!Number.isInteger(steps)) throw new RangeError(`divide: ${from} clusters do not double to ${to}`);
}
