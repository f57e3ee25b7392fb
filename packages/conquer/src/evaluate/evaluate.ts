import { cat, scope, type Tensor } from '@conquer/torch';
import { kMeans } from '../distances/kmeans.js';
import { nearestNeighbourBlocks } from '../distances/nearest.js';
import { Random } from '../random.js';
import { countRelevant } from './average-precision.js';
import { meanAveragePrecisionAtR } from './map-at-r.js';
import { meanAverageRPrecisionOfHits } from './marp.js';
import { normalizedMutualInformation } from './nmi.js';
import { recallAtK } from './recall.js';

export interface EvaluateOptions {
  /** The k's of Recall@k. */
  recallAt: readonly number[];
  /** A k-means per seed, with as many clusters as there are classes. false: no NMI. */
  nmi?: { seeds: readonly number[] } | false;
  /** Search here instead of among the queries themselves. */
  gallery?: { embeddings: Tensor; labels: Int32Array };
  /** Queries at a time, see `nearestNeighbours`. */
  blockSize?: number;
}

/** Fractions by name: 'R@1', …, 'MAP@R', 'mARP', 'NMI' (mean over the seeds) and, with several seeds, 'NMI std'. */
export type Metrics = Record<string, number>;

/**
 * Retrieval and clustering quality of embeddings, by exact Euclidean neighbours.
 *
 * A query whose class has no other image has nothing to find and counts as a miss in R@k, MAP@R and mARP, as in
 * the published numbers. With a gallery, NMI clusters queries and gallery together.
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @throws RangeError if sizes do not fit; Error if an embedding is NaN or infinite
 */
export function evaluateEmbeddings(
  embeddings: Tensor,
  labels: Int32Array,
  options: EvaluateOptions,
): Metrics {
  const { recallAt, nmi = { seeds: [0] }, gallery, blockSize } = options;
  checkEmbeddings('queries', embeddings, labels);
  if (gallery) checkEmbeddings('gallery', gallery.embeddings, gallery.labels);

  const galleryLabels = gallery?.labels ?? labels;
  const relevant = countRelevant(labels, gallery?.labels ?? null);
  const deepest = Math.max(
    1,
    ...recallAt,
    relevant.reduce((a, b) => Math.max(a, b), 0),
  );
  const metrics: Metrics = {};
  for (const k of recallAt) metrics[`R@${k}`] = 0;
  metrics['MAP@R'] = 0;
  metrics.mARP = 0;
  const add = (name: string, value: number) => {
    metrics[name] = (metrics[name] as number) + value;
  };
  const blocks = nearestNeighbourBlocks(embeddings, gallery?.embeddings ?? null, deepest, {
    blockSize,
    exactDistances: false,
  });
  for (const { start, count, indices } of blocks) {
    const some = labels.subarray(start, start + count);
    const relevantSome = relevant.subarray(start, start + count);
    const share = count / labels.length;
    for (const k of recallAt) add(`R@${k}`, recallAtK(some, galleryLabels, indices, k) * share);
    add('MAP@R', meanAveragePrecisionAtR(some, galleryLabels, indices, relevantSome) * share);
    add('mARP', meanAverageRPrecisionOfHits(some, galleryLabels, indices, relevantSome) * share);
  }
  if (nmi) {
    const values = nmi.seeds.map((seed) => clusteringNmi(embeddings, labels, gallery, seed));
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    metrics.NMI = mean;
    if (values.length > 1) {
      metrics['NMI std'] = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
    }
  }
  return metrics;
}

function clusteringNmi(
  embeddings: Tensor,
  labels: Int32Array,
  gallery: EvaluateOptions['gallery'],
  seed: number,
): number {
  const allLabels = gallery ? Int32Array.from([...labels, ...gallery.labels]) : labels;
  return scope(() => {
    const all = gallery ? cat([embeddings, gallery.embeddings]) : embeddings;
    const { assignments } = kMeans(all, new Set(allLabels).size, { random: new Random(seed) });
    return normalizedMutualInformation(allLabels, assignments);
  });
}

function checkEmbeddings(what: string, embeddings: Tensor, labels: Int32Array): void {
  if (embeddings.ndim !== 2 || embeddings.size(0) !== labels.length || labels.length === 0) {
    throw new RangeError(
      `evaluation: expected embeddings (N, D) and N > 0 labels of the ${what}, got shape [${embeddings.shape}] and ` +
        `${labels.length} labels`,
    );
  }
  const broken = scope(() => embeddings.isfinite().logicalNot().sum().item());
  if (broken > 0) {
    throw new Error(
      `evaluation: ${broken} numbers in the embeddings of the ${what} are NaN or infinite: the training has ` +
        'diverged; try a lower learning rate',
    );
  }
}
