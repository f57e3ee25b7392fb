import type { Metrics } from '@conquer-dml/run';
import { cat, F, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { type KMeansOptions, kMeans } from '../clustering/kmeans.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { asEuclidean } from '../neighbours/hyperboloid.js';
import type { KReciprocalOptions } from '../neighbours/k-reciprocal.js';
import { type Ball, ballOptions } from '../neighbours/poincare.js';
import { rowBlocks } from '../neighbours/row-blocks.js';
import { unitRows } from '../neighbours/unit-rows.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { Random } from '../random.js';
import { usualRecallAt } from '../recall-at.js';
import { isNamed, type Labels, labelsFrom, type RowData, rowsFrom } from '../row-data.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { LabelSets } from './count-relevant.js';
import { type ExpandOptions, expanded } from './expand.js';
import type { Clustering } from './metric.js';
import { type WantedMetric, wantedMetrics } from './metrics.js';
import { PairDistances } from './pair-distances.js';
import { prefixRecallName, prefixRecalls } from './prefix-recalls.js';
import { searchMeans } from './search-means.js';

/** Images that are searched. */
export interface Gallery<Rows extends RowData = Tensor, Classes extends Labels = Int32Array> {
  /** (M, D) */
  embeddings: Rows;
  /** (M,) */
  labels: Classes;
  /** All labels of each, where it may have several, see `EvaluateOptions.labelSets`. */
  labelSets?: LabelSets | undefined;
  /**
   * What a query leaves out of its search: where it stands in the gallery itself, as it is never compared with itself, or
   * where its class was seen by its own camera too. Default: nothing.
   */
  own?: OwnInGallery;
  /** Where queries that are in the gallery too stand in it, if `own` says more than that: they count once. */
  same?: OwnInGallery | undefined;
  /**
   * A query that can find nothing counts as a miss in all that is a search (default), or is left out of the means, as in
   * re-identification.
   */
  withoutMatch?: 'miss' | 'left out' | undefined;
}

export interface EvaluateOptions {
  /**
   * (N,) all labels of each image, where it may have several; `labels` then holds the first. What is relevant to a query shares a
   * label with it. Metrics of a search that look at the nearest are measured so; those of the whole ranking, and what takes images
   * by one class each, are left out. Standard errors go by the first label. Of a gallery too, or of neither.
   */
  labelSets?: LabelSets | undefined;
  /**
   * Default 'euclidean'. By 'cosine' all rows are brought to length 1 first, for k-means too. By 'hyperbolic' searches go by the
   * distance in the Poincaré ball, of rows as a model gives them before they are scaled (the map into the ball is applied here, see
   * `toPoincareBall`), in float64; what is no search, and prefixes, by the rows at length 1.
   */
  metric?: 'euclidean' | 'cosine' | 'hyperbolic';
  /** Of 'hyperbolic': curvature (0.1) and clip radius (2.3). */
  ball?: Ball | undefined;
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
  /** Names of metrics, such as P@10, and groups of them: usual (default), all. docs/metrics.md lists them. */
  metrics?: readonly string[];
  /** The same as the metrics `all`. Default false. */
  extended?: boolean;
  /** Recall@1 also of the first so many dimensions alone, brought to length 1: an embedding may be nested. */
  prefixes?: readonly number[];
  /** Searches go by distances that mutual neighbours change, see `eachReranked`; what is no search does not. */
  rerank?: KReciprocalOptions | null | undefined;
  /** Queries and gallery take up what is most similar before anything is measured, see `expandQueries`. */
  expand?: ExpandOptions | null | undefined;
  /** Told of every query, in order, by its row: the values that means are taken of, by name. null: it is left out of them. */
  onQuery?: ((query: number, values: Readonly<Record<string, number>> | null) => void) | undefined;
  /** Told while the nearest are looked for, as so many queries of all. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Told after each round of a k-means, as so many of the most that all of them have; one that ends early has had all of its own. */
  onClustering?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

/** The same of rows in tensors, as they are compared. */
interface MeasureOptions extends Omit<EvaluateOptions, 'metric' | 'expand' | 'ball'> {
  gallery?: Gallery;
  /** Rows that searches go by, where they are not the embeddings: of the queries, and of what they are looked for in. */
  searched?: { queries: Tensor; gallery: Tensor } | undefined;
}

/** All of its options. */
const optionNames: OptionNames<EvaluateOptions> = {
  metric: true,
  ball: true,
  labelSets: true,
  recallAt: true,
  nmi: true,
  gallery: true,
  blockSize: true,
  metrics: true,
  extended: true,
  prefixes: true,
  rerank: true,
  expand: true,
  onQuery: true,
  onProgress: true,
  onClustering: true,
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
 * @param labels (N,) whole numbers of any size, or names
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
  const { gallery, metric = 'euclidean', ball, expand, ...others } = options;
  if (!['euclidean', 'cosine', 'hyperbolic'].includes(metric))
    throw new RangeError(
      `evaluateEmbeddings: expected the metric euclidean, cosine or hyperbolic, got ${metric}`,
    );
  const inBall = metric === 'hyperbolic' ? ballFor(ball, options) : null;
  const numbers = new Map<string | number, number>();
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
      if (inBall) {
        const rows = asEuclidean(queries.embeddings, searched?.embeddings ?? queries.embeddings, inBall);
        const among = searched && { ...searched, embeddings: F.normalize(searched.embeddings) };
        const units = F.normalize(queries.embeddings);
        return measure(units, queries.labels, {
          ...others,
          ...(among && { gallery: among }),
          searched: rows,
        });
      }
      const among = searched?.embeddings ?? null;
      const rows = expand ? expanded(queries.embeddings, among, expand) : null;
      const gallery_ = searched && { ...searched, ...(rows?.gallery && { embeddings: rows.gallery }) };
      const measured = { ...others, ...(gallery_ && { gallery: gallery_ }) };
      return measure(rows?.queries ?? queries.embeddings, queries.labels, measured);
    }),
  );
}

/** @throws RangeError for what is no ball; TypeError for what goes by the angle */
function ballFor(ball: Ball | undefined, { rerank, expand }: EvaluateOptions): Ball {
  if (rerank || expand)
    throw new TypeError(
      'evaluateEmbeddings: re-ranking and expansion go by the angle, expected neither by the metric hyperbolic',
    );
  const { success, data } = ballOptions.safeParse(ball ?? {});
  if (!success || data.curvature === 0)
    throw new RangeError(
      `evaluateEmbeddings: expected a ball of a curvature above 0 and a clip radius from 0.001 on or null, got ${JSON.stringify(ball)}`,
    );
  return data;
}

function measure(embeddings: Tensor, labels: Int32Array, options: MeasureOptions): Metrics {
  const { recallAt = usualRecallAt, nmi = { seeds: [0] }, gallery, blockSize, extended = false } = options;
  const { stop, onQuery, onProgress, rerank, prefixes = [] } = options;
  checkStop(stop);

  const { labelSets } = options;
  if (labelSets || gallery?.labelSets) refuseLabelSets(labels, options);
  const wanted = wantedMetrics(options.metrics ?? [extended ? 'all' : 'usual'], recallAt).filter(
    ({ metric }) => !labelSets || (metric.of === 'search' && metric.looks !== 'everywhere'),
  );
  const values = new Map<string, number>();
  const search = {
    ...(labelSets && { labelSets: { queries: labelSets, searched: gallery?.labelSets ?? labelSets } }),
    ...(gallery && { gallery }),
    ...(blockSize !== undefined && { blockSize }),
    stop,
  };
  const ofSearch = wanted.flatMap(({ metric, at }) => (metric.of === 'search' ? [{ metric, at }] : []));
  const { searched } = options;
  const means = searchMeans(searched?.queries ?? embeddings, labels, ofSearch, {
    ...search,
    ...(searched && { gallery: galleryOf(searched.gallery, labels, gallery) }),
    onQuery,
    onProgress,
    rerank,
  });
  for (const [name, value] of means) values.set(name, value);
  for (const [name, value] of prefixRecalls(embeddings, labels, prefixes, search)) values.set(name, value);

  const ofPairs = wanted.flatMap(({ metric, at }) => (metric.of === 'pairs' ? [{ metric, at }] : []));
  if (ofPairs.length > 0) {
    const pairs = new PairDistances(embeddings, labels, search);
    for (const { metric, at } of ofPairs) setAll(values, metric.names(at), metric.measure(pairs, at));
  }
  // What is in both counts once.
  const galleryLabels = gallery?.labels ?? labels;
  const inBoth = new Set([...(gallery?.same ?? gallery?.own ?? new Map()).values()].flat());
  const only = Int32Array.from(galleryLabels.keys()).filter((position) => !inBoth.has(position));
  const everyLabel = gallery
    ? Int32Array.from([...labels, ...Array.from(only, (position) => gallery.labels[position] as number)])
    : labels;
  const measureAll = () => {
    const every = gallery ? together(embeddings, gallery.embeddings, only) : embeddings;
    const ofClusters = wanted.flatMap(({ metric }) => (metric.of === 'clusters' ? [metric] : []));
    if (nmi && ofClusters.length > 0) {
      const { seeds, maxIterations = 100 } = nmi;
      const tell = (done: number) => options.onClustering?.({ done, total: seeds.length * maxIterations });
      const clusterings = seeds.map((seed, i) => {
        const onRound = (rounds: number) => tell(i * maxIterations + rounds);
        tell(i * maxIterations);
        return cluster(every, everyLabel, seed, { maxIterations, onRound, stop });
      });
      tell(seeds.length * maxIterations);
      for (const metric of ofClusters) {
        checkStop(stop);
        const measured = clusterings.map((clustering) => metric.measure(everyLabel, clustering));
        addSpread(values, metric.names([])[0]!, measured);
      }
    }
    for (const { metric, at } of wanted)
      if (metric.of === 'rows') setAll(values, metric.names(at), metric.measure(every, everyLabel, at, stop));
  };
  scope(() => noGrad(measureAll));
  return inOrder(values, wanted, prefixes);
}

/** What is searched as a gallery of its own rows: the queries' where there is none, of which each leaves itself out. */
function galleryOf(embeddings: Tensor, labels: Int32Array, gallery: Gallery | undefined): Gallery {
  if (gallery) return { ...gallery, embeddings };
  return { embeddings, labels, own: new Map(Array.from(labels.keys(), (row) => [row, [row]])) };
}

/** @throws TypeError or RangeError for several labels that do not fit the images, or what cannot take them */
function refuseLabelSets(labels: Int32Array, { labelSets, gallery, rerank }: MeasureOptions): void {
  if (labelSets === undefined || (gallery && gallery.labelSets === undefined))
    throw new TypeError(
      'evaluateEmbeddings: expected several labels of queries and gallery both, or one label of both',
    );
  for (const [what, sets, images] of [
    ['queries', labelSets, labels.length],
    ['gallery images', gallery?.labelSets, gallery?.labels.length],
  ] as const)
    if (sets && sets.length !== images)
      throw new RangeError(
        `evaluateEmbeddings: expected a set of labels for each of ${images} ${what}, got ${sets.length}`,
      );
  if (rerank)
    throw new TypeError('evaluateEmbeddings: expected one label an image to re-rank by, got several');
}

function setAll(
  values: Map<string, number>,
  names: readonly string[],
  measured: readonly (number | null)[],
): void {
  for (const [i, value] of measured.entries()) if (value !== null) values.set(names[i]!, value);
}

/** In the order of the metrics, however they were computed. */
function inOrder(
  values: Map<string, number>,
  wanted: readonly WantedMetric[],
  prefixes: readonly number[],
): Metrics {
  const names = wanted.flatMap(({ metric, at }) => metric.names(at));
  const all = [
    ...names.flatMap((name) => [name, `${name} SE`, `${name} std`]),
    ...prefixes.map(prefixRecallName),
  ];
  return Object.fromEntries(all.flatMap((name) => (values.has(name) ? [[name, values.get(name)!]] : [])));
}

/** The queries and those of the gallery's rows. */
function together(queries: Tensor, gallery: Tensor, rows: Int32Array): Tensor {
  if (rows.length === 0) return queries;
  if (rows.length === gallery.size(0)) return cat([queries, gallery]);
  return cat([queries, gallery.indexSelect(0, tensor(rows, { dtype: 'int64', device: gallery.device }))]);
}

/** The mean and, of several, the standard deviation. */
function addSpread(metrics: Map<string, number>, name: string, values: readonly number[]): void {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  metrics.set(name, mean);
  if (values.length > 1) {
    const squares = values.reduce((a, b) => a + (b - mean) ** 2, 0);
    metrics.set(`${name} std`, Math.sqrt(squares / values.length));
  }
}

/** A k-means cluster for each image, as many as there are classes. */
function cluster(
  embeddings: Tensor,
  labels: Int32Array,
  seed: number,
  options: Pick<KMeansOptions, 'maxIterations' | 'onRound' | 'stop'>,
): Clustering {
  const found = kMeans(embeddings, new Set(labels).size, { ...options, random: new Random(seed) });
  found.centroids.dispose();
  return found;
}

function checkEmbeddings(what: string, embeddings: Tensor, labels: Int32Array): void {
  if (embeddings.ndim !== 2 || embeddings.size(0) !== labels.length || labels.length === 0) {
    throw new RangeError(
      `evaluation: expected embeddings (N, D) and N > 0 labels of the ${what}, got shape [${embeddings.shape}] and ` +
        `${labels.length} labels`,
    );
  }
  let broken = 0;
  // In pieces: the temporaries of all rows would be twice as large as they are.
  for (const { start, count } of rowBlocks(labels.length, Math.max(1, embeddings.size(1))))
    broken += scope(() => embeddings.narrow(0, start, count).isfinite().logicalNot().sum().item());
  if (broken > 0) {
    throw new Error(
      `evaluation: ${broken} numbers in the embeddings of the ${what} are NaN or infinite: the training has ` +
        'diverged; try a lower learning rate',
    );
  }
}
