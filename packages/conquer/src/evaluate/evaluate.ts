import type { Metrics } from '@conquer-dml/run';
import { cat, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { type KMeansOptions, kMeans } from '../clustering/kmeans.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { eachNeighbourBlock } from '../neighbours/nearest.js';
import type { NeighbourBlock } from '../neighbours/neighbours.js';
import { unitRows } from '../neighbours/unit-rows.js';
import { mostOwn, withoutOwn } from '../neighbours/without-own.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { Random } from '../random.js';
import { usualRecallAt } from '../recall-at.js';
import { isNamed, type Labels, labelsFrom, type RowData, rowsFrom } from '../row-data.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { countRelevant } from './average-precision.js';
import type { Metric } from './metric.js';
import { metrics as known } from './metrics.js';
import { standardErrorOverClasses } from './standard-error.js';

/** Images that are searched. */
export interface Gallery<Rows extends RowData = Tensor, Classes extends Labels = Int32Array> {
  /** (M, D) */
  embeddings: Rows;
  /** (M,) */
  labels: Classes;
  /** Where queries that are in the gallery too stand in it: a query is never compared with itself. Default: none is. */
  own?: OwnInGallery;
}

export interface EvaluateOptions {
  /** Default 'euclidean'. By 'cosine' all rows are brought to length 1 first, for k-means too. */
  metric?: 'euclidean' | 'cosine';
  /** The k's of Recall@k; default 1, 2, 4 and 8. Where the gallery is smaller, all of it counts. */
  recallAt?: readonly number[];
  /**
   * A k-means per seed, with as many clusters as there are classes, of at most so many iterations (100);
   * default one, of seed 0. false: no NMI.
   */
  nmi?: { seeds: readonly number[]; maxIterations?: number } | false;
  /** Search here instead of among the queries themselves. */
  gallery?: Gallery<RowData, Labels>;
  /** Queries at a time, as in `nearestNeighbours`. */
  blockSize?: number;
  /**
   * Also what the Revisiting collection measures, which takes a second pass over all distances. Default
   * false.
   */
  extended?: boolean;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

/** The same of rows in tensors, as they are compared. */
interface MeasureOptions extends Omit<EvaluateOptions, 'metric'> {
  gallery?: Gallery;
}

/** All of its options. */
const optionNames: OptionNames<EvaluateOptions> = {
  metric: true,
  recallAt: true,
  nmi: true,
  gallery: true,
  blockSize: true,
  extended: true,
  stop: true,
};

/**
 * Retrieval and clustering quality of embeddings, by exact neighbours.
 *
 * A query whose class has no other image has nothing to find and counts as a miss in all that is a search, as in
 * the published numbers. A query is never compared with itself. With a gallery, what is no search (of clusters and of rows) takes
 * queries and gallery together, what is in both once. A metric that these embeddings have none of is left out.
 *
 * @param embeddings N rows of D numbers, see `RowData`
 * @param labels (N,) numbers or names
 * @throws TypeError for what is no rows or labels; RangeError if sizes do not fit, or for a row of zeros by cosine; Error if an
 *   embedding is NaN or infinite
 * @throws Interrupted after `stop`
 */
export function evaluateEmbeddings(
  embeddings: RowData,
  labels: Labels,
  options: EvaluateOptions = {},
): Metrics {
  refuseUnknownOptions('evaluateEmbeddings', options, optionNames);
  const { gallery, metric = 'euclidean', ...others } = options;
  if (metric !== 'euclidean' && metric !== 'cosine')
    throw new RangeError(`evaluateEmbeddings: expected the metric euclidean or cosine, got ${metric}`);
  const numbers = new Map<string, number>();
  const tensors = (what: string, rows: RowData, given: Labels) => {
    const name = `evaluateEmbeddings, ${what}`;
    const classes = labelsFrom(name, given, numbers);
    const whole = rowsFrom(name, rows, { count: classes.length });
    checkEmbeddings(what, whole, classes);
    const compared = metric === 'cosine' ? unitRows(name, whole, (row) => `row ${row + 1}`) : whole;
    return { embeddings: compared, labels: classes };
  };
  return scope(() =>
    noGrad(() => {
      const queries = tensors('queries', embeddings, labels);
      const searched = gallery && { ...gallery, ...tensors('gallery', gallery.embeddings, gallery.labels) };
      if (gallery && isNamed(gallery.labels) !== isNamed(labels))
        throw new TypeError(
          'evaluateEmbeddings: expected labels of queries and gallery both as numbers or both as names',
        );
      const measured = { ...others, ...(searched && { gallery: searched }) };
      return measure(queries.embeddings, queries.labels, measured);
    }),
  );
}

function measure(embeddings: Tensor, labels: Int32Array, options: MeasureOptions): Metrics {
  const { recallAt = usualRecallAt, nmi = { seeds: [0] }, gallery, blockSize, extended = false } = options;
  const { stop } = options;
  checkStop(stop);

  const galleryLabels = gallery?.labels ?? labels;
  const relevant = countRelevant(labels, gallery?.labels ?? null, { own: gallery?.own });
  const mostRelevant = relevant.reduce((a, b) => Math.max(a, b), 1);
  const deepest = Math.max(mostRelevant, ...recallAt);
  const metrics: Metrics = {};
  const wanted: readonly Metric[] = known.filter((metric) => extended || !metric.extended);
  const ofNeighbours = wanted.filter((metric) => metric.of === 'neighbours');
  const own: OwnInGallery = gallery?.own ?? new Map();
  const firstHits = new Uint8Array(labels.length);
  const onBlock = (block: NeighbourBlock) => {
    const { start, count } = block;
    const found = {
      queryLabels: labels.subarray(start, start + count),
      galleryLabels,
      neighbours: withoutOwn(block, start, own, deepest).indices,
      relevant: relevant.subarray(start, start + count),
    };
    const { neighbours } = found;
    const width = neighbours.length / count;
    for (let row = 0; row < count; row++)
      if (galleryLabels[neighbours[row * width] as number] === labels[start + row])
        firstHits[start + row] = 1;
    const share = count / labels.length;
    for (const { names, measure } of ofNeighbours)
      for (const [i, value] of measure(found, recallAt).entries()) {
        const name = names(recallAt)[i]!;
        metrics[name] = (metrics[name] ?? 0) + value * share;
      }
  };
  // Metrics look at the order of the first R, and at which are the first k; where up to `most` of them are left
  // out, the first k are among the first k, k + 1, …
  const most = mostOwn(own);
  const cuts = recallAt.flatMap((k) => Array.from({ length: most + 1 }, (_, more) => k + more));
  const approximate = { blockSize, order: { first: mostRelevant + most, cuts }, stop };
  const among = gallery?.embeddings ?? null;
  eachNeighbourBlock(embeddings, among, deepest + most, approximate, onBlock);
  addStandardError(metrics, firstHits, labels);
  for (const metric of wanted) {
    if (metric.of !== 'rankings') continue;
    const search = { ...(gallery && { gallery }), ...(blockSize !== undefined && { blockSize }), stop };
    const values = metric.measure(embeddings, labels, relevant, search);
    for (const [i, value] of values.entries()) metrics[metric.names(recallAt)[i]!] = value;
  }
  // What is in both counts once.
  const inBoth = new Set([...own.values()].flat());
  const only = Int32Array.from(galleryLabels.keys()).filter((position) => !inBoth.has(position));
  const everyLabel = gallery
    ? Int32Array.from([...labels, ...Array.from(only, (position) => gallery.labels[position] as number)])
    : labels;
  const measureAll = () => {
    const every = gallery ? together(embeddings, gallery.embeddings, only) : embeddings;
    if (nmi) {
      const clusterings: Int32Array[] = [];
      for (const seed of nmi.seeds)
        clusterings.push(cluster(every, everyLabel, seed, { maxIterations: nmi.maxIterations, stop }));
      for (const metric of wanted) {
        if (metric.of !== 'clusters') continue;
        checkStop(stop);
        const values = clusterings.map((clusters) => metric.measure(everyLabel, clusters));
        addSpread(metrics, metric.names(recallAt)[0]!, values);
      }
    }
    for (const metric of wanted) {
      if (metric.of !== 'rows') continue;
      for (const [i, value] of metric.measure(every, everyLabel, stop).entries())
        if (value !== null) metrics[metric.names(recallAt)[i]!] = value;
    }
  };
  scope(() => noGrad(measureAll));
  return metrics;
}

/** The queries and those of the gallery's rows. */
function together(queries: Tensor, gallery: Tensor, rows: Int32Array): Tensor {
  if (rows.length === 0) return queries;
  if (rows.length === gallery.size(0)) return cat([queries, gallery]);
  return cat([queries, gallery.indexSelect(0, tensor(rows, { dtype: 'int64', device: gallery.device }))]);
}

/** Behind R@1, where it is measured, its standard error over classes. */
function addStandardError(metrics: Metrics, firstHits: Uint8Array, labels: Int32Array): void {
  const error = metrics['R@1'] === undefined ? null : standardErrorOverClasses(firstHits, labels);
  if (error === null) return;
  const measured = Object.entries(metrics);
  for (const [name] of measured) delete metrics[name];
  for (const [name, value] of measured) {
    metrics[name] = value;
    if (name === 'R@1') metrics['R@1 SE'] = error;
  }
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
function cluster(
  embeddings: Tensor,
  labels: Int32Array,
  seed: number,
  options: Pick<KMeansOptions, 'maxIterations' | 'stop'>,
): Int32Array {
  const found = kMeans(embeddings, new Set(labels).size, { ...options, random: new Random(seed) });
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
