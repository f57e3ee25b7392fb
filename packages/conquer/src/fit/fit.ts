import { join } from 'node:path';
import { boxOfImage } from '@conquer-dml/image';
import { RunFolder, UserError } from '@conquer-dml/run';
import type { z } from 'zod';
import { cacheFolder } from '../cache-folder.js';
import { openData } from '../datasets/data.js';
import type { Dataset } from '../datasets/dataset.js';
import { withAbsolutePaths } from '../experiment/absolute-paths.js';
import type { Experiment, ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { modelNameOf } from '../models/create-model.js';
import { preprocessingFor } from '../models/preprocessing.js';
import { BUILT_IN } from '../models/weights/built-in.js';
import { openPretrained } from '../models/weights/pretrained.js';
import { withDefaults } from '../part.js';
import { setUpEngine } from '../train/engine.js';
import type { TrainObserver } from '../train/observer.js';
import { chooseHead, chosenInEach, whetherNetworkPays } from './choose-head.js';
import { type ClassSplit, splitClasses } from './class-splits.js';
import { EPOCH_STEPS, fitOptions } from './fit-options.js';
import { type CurvePoint, type FitReport, type HeadResult, spreadOf } from './fit-report.js';
import { type HeadRecipe, headDefaults, headRecipes, isTried, settledHead } from './head-recipes.js';
import type { Score } from './head-training.js';
import { keepFeatures } from './keep-features.js';
import { KeptResults } from './kept-results.js';
import { networkData } from './network-data.js';
import { frozenScore, type HeadTrials, searchLength, testHead, withEpochs } from './try-head.js';
import { writeRun } from './write-run.js';

/** Shares of the training classes of the learning curve, below all of them. */
const CURVE = [0.25, 0.5];

export interface FitOptions extends Omit<z.input<typeof fitOptions>, 'heads'> {
  /** As an experiment names one, such as `{ name: 'folder', folder: 'photos' }`: all of its classes are taken. */
  dataset: NonNullable<NonNullable<ExperimentInput['data']>['dataset']>;
  /** A name of `conquer models`; default the network that comes with the program. */
  model?: string | undefined;
  /** By name, or one's own; default all that there are. */
  heads?: readonly (string | HeadRecipe)[] | undefined;
  /** Over what each head says of itself: a loss, a miner, `model.embeddingDim`, a batch size. */
  experiment?: ExperimentInput | undefined;
}

/** What is said while a fit works. */
export interface FitObserver extends Pick<TrainObserver, 'onPreparation' | 'onWarning' | 'onNote'> {
  /** How far all trainings are, in steps that are asked for at most. */
  onTraining?(info: { head: string; split: number; done: number; total: number }): void;
}

export interface FitRequest {
  /** Path of the run's folder, which is made. */
  run: string;
  observer?: FitObserver | undefined;
  /** Ends it; called again with the same options it goes on where it was. */
  signal?: AbortSignal | undefined;
  /** Where features and results are kept; default the cache folder. */
  folder?: string | undefined;
  /** Default: as everywhere. */
  threads?: number | undefined;
}

/**
 * Fits a head to photos of one's own on a frozen network: each photo goes through the network once, some heads train on the features,
 * are measured on classes that they have not seen, and the one that held-out classes choose is trained on all classes into a run.
 *
 * @returns what was measured, and which head is recommended; without one no run is written
 * @throws OptionError, UserError for options, photos or a network that cannot work, or a run that is there
 * @throws Interrupted after `signal` was aborted
 */
export async function fit(options: FitOptions, request: FitRequest): Promise<FitReport> {
  const { dataset: named, model = BUILT_IN, heads, experiment: over = {}, ...given } = options;
  const { run: path, observer = {}, signal, threads, folder = cacheFolder() } = request;
  const { views, splits, seeds, steps, choose, imageSize, exclude, seed } = withDefaults(
    'fit',
    fitOptions,
    given,
  );
  const known = recipesOf(heads ?? headRecipes.map(({ name }) => name));
  if (choose !== null && !known.some(({ name }) => name === choose))
    throw new UserError(
      `fit: expected to choose one of the heads that are tried (${known.map(({ name }) => name).join(', ')}), got '${choose}'`,
    );
  if (RunFolder.exists(path) && RunFolder.open(path).summary()?.status === 'finished')
    throw new UserError(`there is a run in ${path} already: choose another name`);
  setUpEngine({ train: { threads: threads ?? null } });
  const started = performance.now();
  const { onPreparation, onWarning, onNote } = observer;
  const dataset = await openData(
    { dataset: named as never, trainOn: 'all', exclude },
    {
      seed,
      onWarning,
      onProgress: (progress) => onPreparation?.({ what: 'preparing the data set, once', ...progress }),
    },
  );
  // Before anything is embedded.
  const { paths, labelSets } = dataset.train;
  if (labelSets !== undefined || paths.some((path) => boxOfImage(path) !== null))
    throw new UserError(
      'fit: expected whole photos of one label each, got boxes in photos, or several labels of one',
    );
  splitClasses(pairedClasses(dataset.train.labels), 0);
  const classes = new Set(dataset.train.labels).size;
  const recipes = known.filter((recipe) => heads || recipe.name === choose || isTried(recipe, classes));
  const name = modelNameOf(model);
  const { backbone, input, id } = await openPretrained(name, {
    ...(onNote && { onNote }),
    onPreparation: (what: string) => (progress: { done: number; total: number }) =>
      onPreparation?.({ what, ...progress }),
  });
  using network = backbone.eval();
  const seen = preprocessingFor(input, { ...(imageSize !== null && { size: imageSize }) });
  backbone.requireImages([1, 3, seen.size, seen.size]);
  const base: ExperimentInput = {
    data: {
      dataset: named,
      exclude,
      trainOn: 'all',
      imageSize: seen.size,
      resize: seen.resize,
      cache: false,
      onBadImage: 'skip',
    },
    model: {
      backbone: { name: name as never },
      weights: 'published',
      batchNorm: 'frozen',
      tuning: { name: 'full', freezeBelow: backbone.parametersByDepth().length },
    },
    train: { seed },
    evaluate: { untrained: false },
  };
  const experimentOf = (recipe: HeadRecipe): Experiment =>
    settledHead(
      resolveExperiment(withAbsolutePaths(mergeExperiments(base, headDefaults, recipe.experiment, over))),
    );
  // What cannot be is said before a photo goes through the network.
  const experiments = new Map(recipes.map((recipe) => [recipe, experimentOf(recipe)]));
  using kept = await keepFeatures(network, dataset.train.paths, {
    ...{ id, seen, views, threads, signal, onWarning },
    folder: join(folder, 'features'),
    onProgress: (what, progress) => onPreparation?.({ what, ...progress }),
  });
  const featuresEnd = performance.now();
  const { labels } = dataset.train;
  const drawn = Array.from({ length: splits }, (_, at) => splitClasses(pairedClasses(labels, kept.bad), at));
  const trials: HeadTrials = {
    ...{ kept, labels, signal, categories: dataset.train.categories },
    network: { name: backbone.name, featureSize: backbone.featureSize, input },
    results: new KeptResults(join(folder, 'fit')),
  };
  const most = Math.max(1, Math.ceil(steps / EPOCH_STEPS));
  const work = new Work(2 * recipes.length * splits * seeds * most * EPOCH_STEPS, observer);
  const frozen: HeadResult = {
    name: 'frozen',
    test: drawn.map((split) => frozenScore(split.test, trials)),
    validation: drawn.map((split) => frozenScore(split.validation, trials)),
    epochs: [],
  };
  const results: HeadResult[] = [];
  for (const recipe of recipes)
    results.push(await tryHead(recipe, experiments.get(recipe)!, { drawn, seeds, most, trials, work }));
  const recommended = chooseHead(frozen, results);
  const taken = choose ?? recommended;
  const chosen = results.find((result) => result.name === taken);
  const recipe = recipes.find((one) => one.name === taken);
  const curve = chosen && recipe ? await learningCurve(experiments.get(recipe)!, chosen, drawn, trials) : [];
  const report: FitReport = {
    format: 1,
    photos: kept.photos,
    classes: dataset.train.classNames.length,
    leftOut: kept.bad.reduce((sum, one) => sum + one, 0),
    model: name,
    views,
    splits: drawn.map((split) => ({
      seed: split.seed,
      fitted: split.fitted.length,
      validation: split.validation.length,
      test: split.test.length,
    })),
    frozen,
    heads: results,
    chosenInEach: chosenInEach(frozen, results),
    ...{ recommended, taken },
    curve,
    network: whetherNetworkPays(frozen, curve),
    networkData: await networkData({ dataset: named as never, exclude }),
    run: taken === null ? null : path,
    seconds: {
      features: (featuresEnd - started) / 1000,
      heads: (performance.now() - featuresEnd) / 1000,
      total: (performance.now() - started) / 1000,
    },
  };
  if (chosen && recipe) {
    const experiment = forAll(experiments.get(recipe)!, chosen, dataset);
    await writeRun({ ...{ path, experiment, dataset, backbone: network, kept, report, signal }, observer });
  }
  return report;
}

function recipesOf(heads: readonly (string | HeadRecipe)[]): HeadRecipe[] {
  return heads.map((head) => {
    if (typeof head !== 'string') return head;
    const known = headRecipes.find(({ name }) => name === head);
    if (known) return known;
    throw new UserError(
      `fit: expected heads of ${headRecipes.map(({ name }) => name).join(', ')}, got '${head}'`,
    );
  });
}

/** Classes with two photos or more, without those that are bad: of the others nothing can be found. */
function pairedClasses(labels: Int32Array, bad?: Uint8Array): Int32Array {
  const counts = new Map<number, number>();
  for (const [photo, label] of labels.entries())
    if (!bad?.[photo]) counts.set(label, (counts.get(label) ?? 0) + 1);
  return Int32Array.from([...counts].filter(([, count]) => count >= 2).map(([label]) => label)).sort();
}

/** How far the trainings are; one that ended early has done all of its steps. */
class Work {
  private done = 0;

  constructor(
    private readonly total: number,
    private readonly observer: FitObserver,
  ) {}

  async of<T>(
    head: string,
    split: number,
    steps: number,
    body: (onSteps: (steps: number) => void) => Promise<T>,
  ) {
    const before = this.done;
    const tell = () => this.observer.onTraining?.({ head, split, done: this.done, total: this.total });
    const result = await body((count) => {
      this.done = Math.min(before + steps, this.done + count);
      tell();
    });
    this.done = before + steps;
    tell();
    return result;
  }
}

async function tryHead(
  { name }: HeadRecipe,
  experiment: Experiment,
  {
    drawn,
    seeds,
    most,
    trials,
    work,
  }: { drawn: readonly ClassSplit[]; seeds: number; most: number; trials: HeadTrials; work: Work },
): Promise<HeadResult> {
  const result: HeadResult = { name, test: [], validation: [], epochs: [] };
  for (const split of drawn) {
    const test: Score[] = [];
    const validation: Score[] = [];
    const epochs: number[] = [];
    for (let at = 0; at < seeds; at++) {
      const seeded = { ...experiment, train: { ...experiment.train, seed: experiment.train.seed + at } };
      const found = await work.of(name, split.seed, most * EPOCH_STEPS, (onSteps) =>
        searchLength(seeded, split, most, { ...trials, onSteps }),
      );
      validation.push(found.validation);
      epochs.push(found.epochs);
      const classes = Int32Array.from([...split.fitted, ...split.validation]);
      test.push(
        await work.of(name, split.seed, most * EPOCH_STEPS, (onSteps) =>
          testHead(seeded, classes, split, found.epochs, { ...trials, onSteps }),
        ),
      );
    }
    result.test.push(averageOf(test));
    result.validation.push(averageOf(validation));
    result.epochs.push(spreadOf(epochs).mean);
  }
  return result;
}

const averageOf = (scores: readonly Score[]): Score => ({
  recallAt1: spreadOf(scores.map(({ recallAt1 }) => recallAt1)).mean,
  mapAtR: spreadOf(scores.map(({ mapAtR }) => mapAtR)).mean,
});

/** The chosen head on shares of each split's training classes, as long as on all of them. */
async function learningCurve(
  experiment: Experiment,
  chosen: HeadResult,
  drawn: readonly ClassSplit[],
  trials: HeadTrials,
): Promise<CurvePoint[]> {
  const points: CurvePoint[] = [];
  for (const share of CURVE) {
    const point: CurvePoint = { classes: 0, mapAtR: [] };
    for (const [at, split] of drawn.entries()) {
      const classes = Int32Array.from([...split.fitted, ...split.validation]);
      const some = classes.subarray(0, Math.max(2, Math.round(share * classes.length)));
      const { mapAtR } = await testHead(experiment, some, split, Math.round(chosen.epochs[at]!), trials);
      point.classes += some.length / drawn.length;
      point.mapAtR.push(mapAtR);
    }
    points.push(point);
  }
  const all = spreadOf(drawn.map(({ fitted, validation }) => fitted.length + validation.length)).mean;
  return [...points, { classes: all, mapAtR: chosen.test.map(({ mapAtR }) => mapAtR) }];
}

/** Of the splits' lengths the median: as many steps, on all classes. */
function forAll(experiment: Experiment, { epochs }: HeadResult, { train }: Dataset): Experiment {
  const sorted = [...epochs].sort((a, b) => a - b);
  const median = Math.max(1, Math.round(sorted[Math.floor(sorted.length / 2)]!));
  return withEpochs(experiment, train.paths.length, median);
}
