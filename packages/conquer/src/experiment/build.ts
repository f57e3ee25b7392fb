import { type Preprocessing, UserError } from '@conquer-dml/run';
import type { Generator } from '@conquer-dml/torch';
import type { AugmentationContext } from '../data/augmentation.js';
import type { BadImages } from '../data/bad-images.js';
import { imageData } from '../data/image-data.js';
import type { TrainingData } from '../data/training-data.js';
import type { View } from '../data/view.js';
import { checkImages, pathsOf } from '../datasets/check-images.js';
import { openData } from '../datasets/data.js';
import type { Dataset } from '../datasets/dataset.js';
import { LeftOut } from '../datasets/left-out.js';
import type { LearnerBatches } from '../divide/interleave.js';
import { DivisionSchedule, scheduleOptions } from '../divide/schedule.js';
import { settled } from '../divide/usual-division.js';
import type { Loss, LossContext } from '../losses/loss.js';
import { PrefixLoss } from '../losses/prefix.js';
import { SumLoss } from '../losses/sum.js';
import type { Miner } from '../miners/miner.js';
import { EmbeddingModel, headOf, headOptions } from '../models/embedding-model.js';
import type { HeadBuilder } from '../models/heads/head.js';
import type { Reading } from '../models/preprocessing.js';
import type { TuningContext } from '../models/tunings/tuning.js';
import { fetchPublished } from '../models/weights/pretrained.js';
import { publishedAs } from '../models/weights/public-name.js';
import { fetchWeights } from '../models/weights/published-weights.js';
import { weightWords } from '../models/weights/weight-words.js';
import { hasImageNetWeights, imageNetWeights, loadWeights } from '../models/weights/weights.js';
import { buildNamed } from '../named-part.js';
import { learningRateFactor } from '../optimize/learning-rates.js';
import { ModelAverage } from '../optimize/model-average.js';
import { TrainingOptimizer, trainingOptimizerOptions } from '../optimize/training-optimizer.js';
import { OptionError, underPath } from '../option-error.js';
import { inWords } from '../out-of-memory.js';
import type { AnyPart } from '../part.js';
import { choosePrecision } from '../precision.js';
import type { Random } from '../random.js';
import { batchOptions, type SamplerContext } from '../samplers/batch-sampler.js';
import type { Tracker, TrackerContext } from '../track/tracker.js';
import type { Builder, Progress } from './builder.js';
import { builtInParts, type Experiment } from './experiment.js';
import { refuseGrowth } from './growing-images.js';
import { refusePrefixes } from './prefixes.js';

const missing = (path: string, own: { own: string }) =>
  new OptionError(path, `is code of one's own (${own.own}), which no file holds: call train() with it`);

/** A part of a list by its name. */
const named = <Context, Built>(
  parts: readonly AnyPart<Context, Built>[],
  choice: { name: string } | { own: string },
  context: Context,
  path: string,
): Built => {
  if ('own' in choice) throw missing(path, choice);
  return buildNamed(parts, choice, context, path);
};

/** @throws UserError when the data set is not there or not whole */
export async function buildDataset({ data, train }: Experiment, builder: Builder): Promise<Dataset> {
  const { onPreparation, onWarning, own = {} } = builder;
  if (own.dataset) return own.dataset;
  const { dataset } = data;
  if (dataset === null)
    throw new OptionError(
      'data.dataset',
      "which data set? Expected one such as emoji, or folder for images of one's own",
    );
  if ('own' in dataset) throw missing('data.dataset', dataset);
  const { trainOn, classRatio, validationFraction, exclude } = data;
  return await openData(
    { dataset, trainOn, classRatio, validationFraction, exclude },
    { seed: train.seed, onProgress: onPreparation?.('preparing the data set, once'), onWarning },
  );
}

/**
 * The bad images of a data set, or null where none may be.
 *
 * @throws UserError when there are too many
 */
export async function buildBadImages(
  { data }: Experiment,
  dataset: Dataset,
  { onPreparation, onWarning = () => {}, signal }: Builder,
): Promise<BadImages | null> {
  if (data.onBadImage === 'fail') return null;
  const onProgress = onPreparation?.('checking the images');
  const bad = await checkImages(dataset, { onBad: onWarning, onProgress, signal });
  const broken = new LeftOut();
  for (const path of pathsOf(dataset)) if (bad.has(path)) broken.addFile('broken', path);
  if (broken.files > 0) onWarning(`${dataset.name}: ${broken}`);
  return bad;
}

/** How the network's images are read where nothing is drawn. */
function readingOf({ data }: Experiment, { parts = builtInParts, own = {} }: Builder): Reading {
  const { augmentation, imageSize: size, resize, cache } = data;
  const part = parts.augmentations.find(({ name }) => 'name' in augmentation && name === augmentation.name);
  const whole = own.augmentation ? false : (part?.whole ?? false);
  return { size, resize, reduced: cache ? (whole ? 'square' : 'short side') : null };
}

/**
 * The images of a data set as the network is to see them: from files, or decoded once and kept.
 *
 * @param view the model's
 * @param cached whether decoded images are kept on the disk; by default as the experiment has it. What the network sees of
 *   an image is the same in both cases, and the experiment's alone
 */
export async function buildImages(
  experiment: Experiment,
  dataset: Dataset,
  view: Preprocessing,
  { bad, cached = experiment.data.cache }: { bad: BadImages | null; cached?: boolean | undefined },
  builder: Builder,
): Promise<TrainingData> {
  const { parts = builtInParts, own = {}, onPreparation, signal } = builder;
  const { device, threads, gradientCache } = experiment.train;
  const { augmentation } = experiment.data;
  const bars = new Map<string, Progress>();
  const barOf = (split: string) => {
    const bar = bars.get(split) ?? onPreparation?.(`decoding the ${split} images, once`);
    if (bar) bars.set(split, bar);
    return bar;
  };
  return await imageData(dataset, {
    view,
    augmented:
      own.augmentation ??
      ((seen) =>
        named<AugmentationContext, View>(parts.augmentations, augmentation, seen, 'data.augmentation')),
    cached,
    onProgress: (split, progress) => barOf(split)?.(progress),
    signal,
    device,
    bad,
    threads: threads ?? undefined,
    chunk: gradientCache?.chunk,
  });
}

/** When to divide, of an experiment whose division is settled. @throws OptionError for numbers that contradict each other */
export function buildSchedule({ divide, compat }: Experiment): DivisionSchedule {
  return new DivisionSchedule({ ...pick(divide, scheduleOptions.shape), ...settled(divide), compat });
}

/** What draws the first weights, and the dropout. */
export interface Generators {
  generator: Generator;
  dropoutGenerator: Generator;
}

/**
 * The network, untrained, on its device. It belongs to the caller; one's own backbone becomes the network's.
 *
 * @throws OptionError for sizes and options that cannot be
 */
export function buildNetwork(
  experiment: Experiment,
  generators: Generators,
  builder: Builder,
): EmbeddingModel {
  return tuned(buildUntuned(experiment, generators, builder), experiment, generators, builder);
}

/** Settles what of the backbone learns: its weights have been loaded. On a mistake the model is disposed. */
function tuned(
  model: EmbeddingModel,
  { model: { tuning }, train }: Experiment,
  generators: Generators,
  { parts = builtInParts, ...listener }: Builder,
): EmbeddingModel {
  try {
    const context: TuningContext = { backbone: model.backbone, ...generators };
    named<TuningContext, void>(parts.tunings, tuning, context, 'model.tuning');
    model.backbone.precision = choosePrecision(train.precision, train.device, listener);
    return model.to({ device: train.device });
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function buildUntuned(experiment: Experiment, generators: Generators, builder: Builder): EmbeddingModel {
  const { parts = builtInParts, own = {} } = builder;
  const { data, model: section, divide } = experiment;
  const context = { frozenBatchNorm: section.batchNorm === 'frozen', ...generators };
  const backbone = own.backbone ?? named(parts.backbones, section.backbone, context, 'model.backbone');
  const { numLearners } = buildSchedule(experiment).at(0);
  const head = headOf(pick(section, headOptions.shape), {
    ...generators,
    head: named<unknown, HeadBuilder>(parts.heads, section.head, null, 'model.head'),
    reading: readingOf(experiment, builder),
    startLearners: numLearners,
    numLearners: settled(divide).numLearners,
  });
  let model: EmbeddingModel;
  try {
    model = new EmbeddingModel(backbone, head);
  } catch (error) {
    if (!own.backbone) backbone.dispose();
    const what = `a model with an embedding of ${section.embeddingDim} dimensions: a smaller one needs less`;
    throw underPath('model', inWords(error, what));
  }
  const { imageSize } = data;
  try {
    model.backbone.requireImages([1, 3, imageSize, imageSize]);
  } catch (error) {
    model.dispose();
    throw new OptionError('data.imageSize', (error as Error).message);
  }
  refuseGrowth(data, model, own.augmentation);
  return model;
}

/** The network, its backbone filled with the weights that the experiment names. */
export async function buildModel(
  experiment: Experiment,
  generators: Generators,
  builder: Builder,
): Promise<EmbeddingModel> {
  const model = buildUntuned(experiment, generators, builder);
  const { weights } = experiment.model;
  try {
    if (weights !== null) await loadWeightsOf(weights, model, builder);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return tuned(model, experiment, generators, builder);
}

/** Fills the backbone from a file, or from the published one, which is fetched once. */
async function loadWeightsOf(weights: string, { backbone }: EmbeddingModel, builder: Builder): Promise<void> {
  const { onPreparation, onNote } = builder;
  const note = (text: string) => onNote?.(`weights: ${text}`);
  if (!weightWords.includes(weights)) {
    loadWeights(backbone, weights, { onNote: note });
    return;
  }
  try {
    const isNamed = weights === 'published' && publishedAs(backbone.name) !== null;
    if (weights === 'published' && !isNamed && !hasImageNetWeights(backbone.name))
      throw new UserError(
        `no weights are published under the name ${backbone.name}: expected a network of conquer models, or of torchvision's`,
      );
    loadWeights(
      backbone,
      isNamed
        ? (await fetchPublished(backbone.name, { onPreparation, onNote: note })).weights
        : await fetchTorchvisions(backbone.name, onPreparation),
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new OptionError(
      'model.weights',
      `${error.message}; to start without: null ('none' on the command line), with model.batchNorm 'trained' and optimize.learningRate 0.001`,
    );
  }
}

async function fetchTorchvisions(name: string, onPreparation: Builder['onPreparation']): Promise<string> {
  const published = imageNetWeights(name);
  const onProgress = onPreparation?.(`fetching ${published.file}, once, in bytes`);
  return await fetchWeights(published, { onProgress });
}

/**
 * On the device.
 *
 * @param generator draws class weights and proxies
 * @throws OptionError for prefixes that mean nothing
 */
export function buildLoss(
  experiment: Experiment,
  numClasses: number,
  generator: Generator,
  { parts = builtInParts, own = {} }: Builder,
): Loss {
  const { loss, model, compat, train } = experiment;
  const { prefixes, prefixWeights } = model;
  refusePrefixes(experiment, own.loss);
  const lossOf = (embeddingDim: number): Loss => {
    if (own.loss) return own.loss;
    const context = { numClasses, embeddingDim, generator, compat };
    if (!Array.isArray(loss)) return named(parts.losses, loss, context, 'loss');
    const terms = loss.map(({ weight, ...choice }, i) => ({
      loss: named<LossContext, Loss>(parts.losses, choice, context, `loss.${i}`),
      weight,
    }));
    return new SumLoss(terms);
  };
  const whole = lossOf(model.embeddingDim);
  if (prefixes.length === 0) return whole.to({ device: train.device });
  const nested = prefixes.map((dimensions, i) => ({
    loss: new PrefixLoss(lossOf(dimensions), dimensions),
    weight: prefixWeights?.[i] ?? 1,
  }));
  return new SumLoss([{ loss: whole, weight: 1 }, ...nested]).to({ device: train.device });
}

/** null where the loss reads the whole batch. */
export function buildMiner(
  { miner, compat }: Experiment,
  loss: Loss,
  random: Random,
  { parts = builtInParts, own = {} }: Builder,
): Miner | null {
  if (!loss.usesTuples) return null;
  return own.miner ?? named(parts.miners, miner, { loss, random, compat }, 'miner');
}

export function buildOptimizer(
  { optimize }: Experiment,
  model: EmbeddingModel,
  loss: Loss,
  { parts = builtInParts, onWarning, onNote }: Builder,
): TrainingOptimizer {
  return new TrainingOptimizer(model, loss, {
    ...pick(optimize, trainingOptimizerOptions.shape),
    learningRate: optimize.learningRate!,
    algorithm: named(parts.optimizers, optimize.optimizer, null, 'optimize.optimizer'),
    onWarning,
    onNote,
  });
}

/** null where the weights themselves are the model. It belongs to the caller. */
export function buildAverage({ optimize }: Experiment, model: EmbeddingModel): ModelAverage | null {
  return optimize.ema && new ModelAverage(model, optimize.ema);
}

/** Factor of the learning rates, by epochs passed; null: they stay as they are. */
export function buildLearningRates({
  optimize,
  divide,
  train,
}: Experiment): (epoch: number) => number | null {
  return learningRateFactor({
    ...optimize,
    learningRate: optimize.learningRate!,
    epochs: train.epochs,
    divideFrom: settled(divide).divideFrom,
  });
}

/** Whether the sampler asks how difficult images are. */
export function usesDifficulty({ data }: Experiment, { parts = builtInParts }: Builder): boolean {
  return parts.samplers.find(({ name }) => name === data.sampler.name)?.usesDifficulty ?? false;
}

/**
 * The batches of one cluster, `passesPerEpoch` times over.
 *
 * @param known of the training split: its classes' categories, its pairs, and how difficult its images are
 */
export function buildSampler(
  { data }: Experiment,
  { parts = builtInParts }: Builder,
  known: Pick<SamplerContext, 'categories' | 'pairs' | 'difficulty'> = {},
) {
  return (indices: Int32Array, splitLabels: Int32Array, random: Random): LearnerBatches => {
    const labels = indices.map((i) => splitLabels[i]!);
    const context = { indices, labels, random, ...known, ...pick(data, batchOptions.shape) };
    const once = named(parts.samplers, data.sampler, context, 'data.sampler');
    const { passesPerEpoch } = data;
    return {
      length: once.length * passesPerEpoch,
      *[Symbol.iterator]() {
        for (let pass = 0; pass < passesPerEpoch; pass++) yield* once;
      },
    };
  };
}

/** Who follows a run of the experiment. @throws OptionError for what cannot work, such as an address that is none */
export function buildTrackers(
  { track }: Pick<Experiment, 'track'>,
  { parts = builtInParts }: Builder = {},
): Tracker[] {
  return track.map((choice) => named<TrackerContext, Tracker>(parts.trackers, choice, {}, 'track'));
}

/** The fields of a section that a part of it takes. */
function pick<Shape extends object, Section extends Record<keyof Shape, unknown>>(
  section: Section,
  shape: Shape,
): Pick<Section, keyof Shape & keyof Section> {
  return Object.fromEntries(Object.keys(shape).map((name) => [name, section[name as keyof Shape]])) as Pick<
    Section,
    keyof Shape & keyof Section
  >;
}
