import { type Tensor, tensor } from '@conquer-dml/torch';
import { pairsAmong } from '../image-pairs.js';
import { CLUSTERING_TRIALS, type Clustered, type ClusterOptions, clusterFeatures } from './cluster.js';
import type { TrainedImages } from './trainable.js';

/**
 * Splits every cluster in two by k-means: the halves of c become 2c and 2c + 1. Each split is tried up to 30
 * times until both halves hold at least two classes of two images; else the last try stands, with a note.
 * Images in no cluster (-1) stay so.
 *
 * A cluster of one image or none cannot be split: the image goes to 2c, and 2c + 1 is empty.
 *
 * @param features (N, F)
 * @param clusters (N,), -1..numClusters-1
 */
export function splitClusters(
  features: Tensor,
  clusters: Int32Array,
  images: TrainedImages,
  numClusters: number,
  options: Omit<ClusterOptions, 'centroids'>,
): Clustered {
  const { trials = CLUSTERING_TRIALS } = options;
  const halves = new Int32Array(clusters.length).fill(-1);
  const notes: string[] = [];
  for (let cluster = 0; cluster < numClusters; cluster++) {
    const members = Int32Array.from(clusters.keys()).filter((image) => clusters[image] === cluster);
    if (members.length < 2) {
      for (const image of members) halves[image] = 2 * cluster;
      notes.push(
        `cluster ${cluster} holds ${members.length === 1 ? 'one image' : 'no image'} and was not split`,
      );
      continue;
    }
    using index = tensor(members, { dtype: 'int64', device: features.device });
    using own = features.indexSelect(0, index);
    const split = clusterFeatures(own, imagesAt(images, members), 2, options);
    for (const [position, image] of members.entries()) {
      halves[image] = 2 * cluster + (split.clusters[position] as number);
    }
    if (split.notes.length > 0) {
      notes.push(
        `no split of cluster ${cluster} in ${trials} tries gave both halves ${images.pairs ? 'pairs of both kinds' : 'two classes of two images'}; the last one is used`,
      );
    }
  }
  return { clusters: halves, notes };
}

/** Some of the images, by where they are, and what is known among them. */
function imagesAt({ labels, pairs }: TrainedImages, members: Int32Array): TrainedImages {
  const ownLabels = members.map((image) => labels[image] as number);
  return { labels: ownLabels, ...(pairs && { pairs: pairsAmong(pairs, members) }) };
}
