import { type Metrics, UserError } from '@conquer/run';
import { cat, scope, type Tensor, tensor } from '@conquer/torch';
import { kMeansSteps } from '../distances/kmeans.js';
import { nearestNeighbourSteps } from '../distances/nearest.js';
import type { NeighbourBlock } from '../distances/neighbours.js';
import { inOneGo, inScope, type Steps } from '../distances/steps.js';
import { mostOwn, withoutOwn } from '../distances/without-own.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { Random } from '../random.js';
import { countRelevant } from './average-precision.js';
import { classDistances } from './class-distances.js';
import { meanAveragePrecisionAtR } from './map-at-r.js';
import { meanAverageRPrecisionOfHits } from './marp.js';
import { meanAveragePrecision } from './mean-average-precision.js';
import { normalizedMutualInformation } from './nmi.js';
import { pairF1 } from './pair-f1.js';
import { recallAtK } from './recall.js';
import { spectralDecay } from './spectral-decay.js';

/** Images that are searched. */
export interface Gallery {
  /** (M, D) */
  embeddings: Tensor;
  /** (M,) */
  labels: Int32Array;
  /** Where queries that are in the gallery too stand in it: a query is never compared with itself. Default: none is. */
  own?: OwnInGallery;
}

export interface EvaluateOptions {
  /** The k's of Recall@k. Where the gallery is smaller, all of it counts. */
  recallAt: readonly number[];
  /**
   * A k-means per seed, with as many clusters as there are classes, of at most so many iterations (100);
   * default one, of seed 0. false: no NMI.
   */
  nmi?: { seeds: readonly number[]; maxIterations?: number } | false;
  /** Search here instead of among the queries themselves. */
  gallery?: Gallery;
  /** Queries at a time, as in `nearestNeighbours`. */
  blockSize?: number;
  /**
   * Also what the Revisiting collection measures, which takes a second pass over all distances. Default
   * false.
   */
  extended?: boolean;
}

/** All of its options. */
const optionNames: OptionNames<EvaluateOptions> = {
  recallAt: true,
  nmi: true,
  gallery: true,
  blockSize: true,
  extended: true,
};

/** The metrics that the best epoch can be chosen by, where recall is reported at these k's: a higher one is better. */
export function choosingMetrics(recallAt: readonly number[]): string[] {
  return [...recallAt.map((k) => `R@${k}`), 'MAP@R', 'mARP', 'NMI'];
}

/** @throws UserError for a metric that the best epoch cannot be chosen by */
export function refuseOtherMetric(name: string, recallAt: readonly number[]): void {
  const known = choosingMetrics(recallAt);
  if (!known.includes(name))
    throw new UserError(`expected one of ${known.join(', ')} to choose the best epoch by, got '${name}'`);
}

/**
 * Retrieval and clustering quality of embeddings, by exact Euclidean neighbours.
 *
 * A query whose class has no other image has nothing to find and counts as a miss in R@k, MAP and mARP, as in the
 * published numbers. A query is never compared with itself. With a gallery, all that is no search (NMI, F1, rho, intra, inter) takes queries and gallery
 * together, what is in both once. 'intra' is left out where no class has two images, 'inter' where there is one class.
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
  return inOneGo(evaluateSteps(embeddings, labels, options));
}

/** The same in steps. */
export function* evaluateSteps(
  embeddings: Tensor,
  labels: Int32Array,
  options: EvaluateOptions,
): Steps<Metrics> {
  refuseUnknownOptions('evaluateEmbeddings', options, optionNames);
  const { recallAt, nmi = { seeds: [0] }, gallery, blockSize, extended = false } = options;
  checkEmbeddings('queries', embeddings, labels);
  if (gallery) checkEmbeddings('gallery', gallery.embeddings, gallery.labels);

  const galleryLabels = gallery?.labels ?? labels;
  const relevant = countRelevant(labels, gallery?.labels ?? null, { own: gallery?.own });
  const mostRelevant = relevant.reduce((a, b) => Math.max(a, b), 1);
  const deepest = Math.max(mostRelevant, ...recallAt);
  const metrics: Metrics = {};
  for (const k of recallAt) metrics[`R@${k}`] = 0;
  metrics['MAP@R'] = 0;
  metrics.mARP = 0;
  const add = (name: string, value: number) => {
    metrics[name] = (metrics[name] as number) + value;
  };
  const own: OwnInGallery = gallery?.own ?? new Map();
  const onBlock = (block: NeighbourBlock) => {
    const { start, count } = block;
    const { indices } = withoutOwn(block, start, own, deepest);
    const some = labels.subarray(start, start + count);
    const relevantSome = relevant.subarray(start, start + count);
    const share = count / labels.length;
    for (const k of recallAt) add(`R@${k}`, recallAtK(some, galleryLabels, indices, k) * share);
    add('MAP@R', meanAveragePrecisionAtR(some, galleryLabels, indices, relevantSome) * share);
    add('mARP', meanAverageRPrecisionOfHits(some, galleryLabels, indices, relevantSome) * share);
  };
  // MAP@R and mARP look at the order of the first R, R@k at which are the first k; where up to `most` of them are left
  // out, the first k are among the first k, k + 1, …
  const most = mostOwn(own);
  const cuts = recallAt.flatMap((k) => Array.from({ length: most + 1 }, (_, more) => k + more));
  const approximate = { blockSize, order: { first: mostRelevant + most, cuts } };
  const among = gallery?.embeddings ?? null;
  yield* nearestNeighbourSteps(embeddings, among, deepest + most, approximate, onBlock);
  if (extended) {
    const [at1000, all] = meanAveragePrecision(embeddings, labels, relevant, [1000, Infinity], {
      ...(gallery && { gallery }),
      ...(blockSize !== undefined && { blockSize }),
    });
    metrics['MAP@1000'] = at1000 as number;
    metrics.MAP = all as number;
  }
  // What is in both counts once.
  const inBoth = new Set([...own.values()].flat());
  const only = Int32Array.from(galleryLabels.keys()).filter((position) => !inBoth.has(position));
  const everyLabel = gallery
    ? Int32Array.from([...labels, ...Array.from(only, (position) => gallery.labels[position] as number)])
    : labels;
  const measureAll = function* (): Steps<void> {
    const every = gallery ? together(embeddings, gallery.embeddings, only) : embeddings;
    if (nmi) {
      const clusterings: Int32Array[] = [];
      for (const seed of nmi.seeds)
        clusterings.push(yield* cluster(every, everyLabel, seed, nmi.maxIterations));
      const nmis = clusterings.map((clusters) => normalizedMutualInformation(everyLabel, clusters));
      addSpread(metrics, 'NMI', nmis);
      if (extended) {
        const f1s = clusterings.map((clusters) => pairF1(everyLabel, clusters));
        addSpread(metrics, 'F1', f1s);
      }
    }
    if (extended) {
      metrics.rho = spectralDecay(every);
      const { intra, inter } = classDistances(every, everyLabel);
      if (intra !== null) metrics.intra = intra;
      if (inter !== null) metrics.inter = inter;
    }
  };
  yield* inScope(measureAll());
  return metrics;
}

/** The queries and those of the gallery's rows. */
function together(queries: Tensor, gallery: Tensor, rows: Int32Array): Tensor {
  if (rows.length === 0) return queries;
  if (rows.length === gallery.size(0)) return cat([queries, gallery]);
  return cat([queries, gallery.indexSelect(0, tensor(rows, { dtype: 'int64', device: gallery.device }))]);
}

/** The mean and, of several, the standard deviation. */
function addSpread(metrics: Metrics, name: string, values: readonly number[]): void {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  metrics[name] = mean;
  if (values.length > 1) {
    metrics[`${name} std`] = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  }
}

/** A k-means cluster for each image, as many as there are classes. */
function* cluster(
  embeddings: Tensor,
  labels: Int32Array,
  seed: number,
  maxIterations = 100,
): Steps<Int32Array> {
  const options = { random: new Random(seed), maxIterations };
  const found = yield* kMeansSteps(embeddings, new Set(labels).size, options);
  found.centroids.dispose();
  return found.assignments;
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
