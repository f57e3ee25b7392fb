import { type Metrics, UserError } from '@conquer-dml/run';
import type { ProcessGroup } from '@conquer-dml/torch';
import type { Dataset, Split } from '../datasets/dataset.js';
import { type NearDuplicates, placesOfDuplicates } from '../datasets/near-duplicates.js';
import { evaluateModel } from '../evaluate/evaluate-model.js';
import type { ExpandOptions } from '../evaluate/expand.js';
import { ballOf } from '../experiment/ball-of.js';
import { buildBadImages, buildDataset, buildImages } from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment } from '../experiment/experiment.js';
import type { EmbeddingNetwork } from '../models/embedding-network.js';
import { atTestTime, type TestTimeOptions } from '../models/test-time.js';
import type { KReciprocalOptions } from '../neighbours/k-reciprocal.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { setUpEngine } from './engine.js';
import { type EvaluationTables, TablesOf } from './evaluation-tables.js';

export interface EvaluateNetworkOptions extends Builder {
  /** Names of metrics and groups of them, see docs/metrics.md; default the usual ones, AMI and the k-means' objective. */
  metrics?: readonly string[] | undefined;
  /** Searches go by distances that mutual neighbours change. */
  rerank?: KReciprocalOptions | null | undefined;
  /** Embeddings take up what is most similar to them first. */
  expand?: ExpandOptions | null | undefined;
  /** Images that do not find each other. */
  nearDuplicates?: NearDuplicates | undefined;
  /** How the network is used, beside what it was trained with: mirrored, cut in several places. */
  testTime?: Partial<TestTimeOptions> | undefined;
  /** Recall@1 also of the first so many dimensions; default those of the experiment's `model.prefixes`. */
  prefixes?: readonly number[] | undefined;
  /** Told of each test set, in more detail than its metrics: by class and category, and how distances are spread. */
  onTables?: ((set: string, tables: EvaluationTables) => void) | undefined;
  /** Keep decoded images on the disk; by default as the experiment has it. */
  cached?: boolean | undefined;
  /** Processes that each embed a share of the images. The first searches and measures, is told of it, and tells the others. */
  group?: ProcessGroup | undefined;
}

/** What a network is worth on the test sets of a data set. */
export interface EvaluatedSets {
  /** On the test set that training reports on. */
  metrics: Metrics;
  /** By name, where the data set has several test sets. */
  testSets?: Record<string, Metrics>;
}

/** NMI alone says little: of as many classes as images it is high by chance, which AMI takes off. */
export const evaluatedMetrics: readonly string[] = ['usual', 'AMI', 'k-means'];

/** Images whose search and clustering take long enough to be told of. */
const MANY = 50_000;

/** Of NMI. */
const seeds = Array.from({ length: 10 }, (_, seed) => seed);

/**
 * Evaluates a network on the unseen classes of a data set, on all its test sets. NMI is the mean over ten k-means seeds.
 *
 * @param experiment its `data` says how images are read, its `train` where
 */
export async function evaluateNetwork(
  network: EmbeddingNetwork,
  experiment: Experiment,
  dataset: Dataset,
  options: EvaluateNetworkOptions,
): Promise<EvaluatedSets> {
  const {
    metrics: wanted = evaluatedMetrics,
    rerank,
    expand,
    nearDuplicates,
    prefixes,
    testTime = {},
    onTables,
    cached,
    group,
    ...builder
  } = options;
  const model = atTestTime(network, testTime);
  // A network that was published has no loss here.
  const ball = network.embedUnscaled ? ballOf(experiment) : null;
  if (ball && (rerank || expand))
    throw new UserError(
      "re-ranking and expansion go by the angle, and the run's loss ranks by distances in the Poincaré ball: expected neither of this run",
    );
  const bad = await buildBadImages(experiment, dataset, builder);
  const evaluate = async (test: Split): Promise<Metrics> => {
    const data = await buildImages(experiment, { ...dataset, test }, model.view, { bad, cached }, builder);
    const collected = onTables && (group?.isFirst ?? true) ? new TablesOf(test) : null;
    const evaluated = await evaluateModel(model, data, {
      recallAt: dataset.recallAt,
      ball,
      nmi: { seeds },
      metrics: wanted,
      rerank,
      expand,
      nearDuplicates: nearDuplicates && leftOutOf(test, dataset.gallery ?? test, nearDuplicates),
      prefixes: prefixes ?? experiment.model.prefixes.filter((size) => size <= model.embeddingDim),
      onProgress: builder.onPreparation?.(`embedding ${test.name}`),
      ...(test.paths.length > MANY && {
        onSearch: builder.onPreparation?.(`searching ${test.name}`),
        onClustering: builder.onPreparation?.(`clustering ${test.name}, rounds of k-means`),
      }),
      ...(collected && { onQuery: collected.onQuery, onDistances: collected.onDistances }),
      signal: builder.signal,
      ...(group && { group }),
    });
    try {
      if (collected) onTables?.(test.name, collected.tables(evaluated, builder.signal));
      return evaluated.metrics;
    } finally {
      evaluated.dispose();
    }
  };
  const testSets: Record<string, Metrics> = {};
  for (const test of dataset.testSets ?? []) testSets[test.name] = await evaluate(test);
  const metrics = testSets[dataset.test.name] ?? (await evaluate(dataset.test));
  return { metrics, ...(dataset.testSets && { testSets }) };
}

/** @throws UserError where none of them is of these images: the list is of others */
function leftOutOf(test: Split, gallery: Split, duplicates: NearDuplicates): OwnInGallery {
  const places = placesOfDuplicates(duplicates, test.paths, gallery.paths);
  if (places.size === 0 && duplicates.size > 0)
    throw new UserError(
      `expected near-duplicates among the images of ${test.name}, got pairs of others, such as ${[...duplicates.keys()][0]}`,
    );
  return places;
}

/**
 * Evaluates a network that was trained elsewhere on a data set, as `evaluateNetwork` does.
 *
 * @throws UserError for a data set that is not there or not whole
 */
export async function evaluatePublished(
  model: EmbeddingNetwork,
  experiment: Experiment,
  options: EvaluateNetworkOptions = {},
): Promise<EvaluatedSets> {
  setUpEngine(experiment);
  return await evaluateNetwork(model, experiment, await buildDataset(experiment, options), options);
}
