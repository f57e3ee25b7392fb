import { UserError } from '@conquer/run';
import type { Generator } from '@conquer/torch';
import type { BadImages } from '../data/bad-images.js';
import { checkImages, pathsOf } from '../datasets/check-images.js';
import { type DataOptions, openData } from '../datasets/data.js';
import type { Dataset } from '../datasets/dataset.js';
import { LeftOut } from '../datasets/left-out.js';
import type { LearnerBatches } from '../divide/interleave.js';
import { DivisionSchedule } from '../divide/schedule.js';
import type { Loss } from '../losses/loss.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import { EasyPositiveMiner } from '../miners/easy-positive.js';
import { FlexibleTripletMiner, type FlexibleTripletOptions } from '../miners/flexible-triplet.js';
import type { Miner } from '../miners/miner.js';
import type { Backbone } from '../models/backbone.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { openModel } from '../models/open.js';
import { fetchWeights } from '../models/published-weights.js';
import { imageNetWeights, loadWeights } from '../models/weights.js';
import type { NamedOptimizer } from '../optimize/optimizers.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { OptionError } from '../option-error.js';
import type { Random } from '../random.js';
import { adaptive } from '../samplers/adaptive.js';
import type { BatchSampler, SamplerContext } from '../samplers/batch-sampler.js';
import { classBalanced } from '../samplers/class-balanced.js';
import { npairs } from '../samplers/npairs.js';
import { random } from '../samplers/random-batches.js';
import type { OptionName, TrainSettings } from './options.js';
import { withoutWeights } from './start.js';
import { type Output, progressBar } from './terminal.js';

// From settings to the parts of a run: the one place that knows both.

/** @throws UserError when the data set is not there or not whole */
export async function openDatasetOf(settings: TrainSettings, out: Output): Promise<Dataset> {
  const name = settings.dataset;
  if (name === null)
    throw new UserError('which data set? Give --dataset emoji, or --dataset folder --dataset-dir PATH');
  const folder = settings['dataset-dir'] ?? undefined;
  const allowPartial = settings['allow-partial'] === 'yes';
  const split = { split: settings.split, trainFraction: settings['train-fraction'] };
  const isEmoji = name === 'emoji' || name === 'emoji-tones';
  if (name !== 'folder' && name !== 'csv' && split.split !== 'half' && settings['train-on'] !== 'all')
    throw new UserError(`the data set "${name}" says itself which classes train: leave --split out`);
  const dataset = isEmoji
    ? { name }
    : name === 'folder'
      ? { name, folder, ...split }
      : name === 'csv'
        ? { name, file: folder, ...split, allowPartial }
        : { name, folder, allowPartial };
  const data = {
    dataset,
    trainOn: settings['train-on'],
    classRatio: settings['class-ratio'],
    validationFraction: settings['val-fraction'],
  };
  try {
    return await openData(data as DataOptions, {
      seed: settings.seed,
      onProgress: progressBar(out, 'drawing the emoji, once'),
      onWarning: (message) => out.write(`warning: ${message}\n`),
    });
  } catch (error) {
    if (!(error instanceof OptionError) || !Object.hasOwn(dataFlags, error.path)) throw error;
    throw new UserError(`--${dataFlags[error.path]}: ${error.problem}`);
  }
}

const dataFlags: Record<string, OptionName> = {
  'data.dataset.folder': 'dataset-dir',
  'data.dataset.file': 'dataset-dir',
  'data.dataset.split': 'split',
  'data.dataset.trainFraction': 'train-fraction',
  'data.dataset.allowPartial': 'allow-partial',
  'data.classRatio': 'class-ratio',
  'data.validationFraction': 'val-fraction',
};

/**
 * The bad images of a data set, or null where none may be.
 *
 * @param onBad told of each in a line, also of those that go bad later
 * @throws UserError when there are too many
 */
export async function badImagesOf(
  settings: TrainSettings,
  dataset: Dataset,
  out: Output,
  onBad: (message: string) => void,
  signal?: AbortSignal,
): Promise<BadImages | null> {
  if (settings['on-bad-image'] === 'fail') return null;
  const onProgress = progressBar(out, 'checking the images');
  const bad = await checkImages(dataset, { onBad, onProgress, signal });
  const broken = new LeftOut();
  for (const path of pathsOf(dataset)) if (bad.has(path)) broken.addFile('broken', path);
  if (broken.files > 0) onBad(`${dataset.name}: ${broken}`);
  return bad;
}

/** The network of these settings, with `--weights` where given, on its device. */
export async function modelOf(
  settings: TrainSettings,
  generator: Generator,
  dropoutGenerator: Generator,
  out: Output,
): Promise<EmbeddingModel> {
  const widths = settings.widths.split(',').map(Number);
  if (!widths.every((width) => Number.isSafeInteger(width) && width > 0)) {
    throw new UserError(
      `--widths: expected numbers of channels such as 32,64,128,256, got '${settings.widths}'`,
    );
  }
  const { numLearners } = scheduleOf(settings).at(0);
  const backbone = settings.arch === 'small-resnet' ? { name: settings.arch, widths } : settings.arch;
  const model = openModel(backbone, {
    frozenBatchNorm: settings.bn === 'frozen',
    embeddingDim: settings['embedding-dim'],
    pooling: settings['features-pooling'],
    dropout: settings['features-dropout'],
    embeddingInit: {
      kind: settings['embedding-init'],
      gain: settings['embedding-init-gain'],
      learners: settings['embedding-init-split'] === 'yes' ? settings['num-learners'] : 1,
    },
    fullEmbeddingMasks: settings['full-embedding-masks'],
    masks: {
      kind: settings.masks,
      initialisation: settings['mask-init'],
      relu: settings['mask-relu'] === 'yes',
      numLearners,
    },
    generator,
    dropoutGenerator,
  });
  try {
    requireSize(model.backbone, settings['image-size']);
    await loadWeightsOf(settings, model.backbone, out);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model.to({ device: settings.device });
}

function requireSize(backbone: Backbone, side: number): void {
  try {
    backbone.requireImages([1, 3, side, side]);
  } catch (error) {
    throw new UserError(`--image-size: ${(error as Error).message}`);
  }
}

/** Fills the backbone from a file, or from the published one, which is fetched once. */
async function loadWeightsOf(
  { arch, weights }: TrainSettings,
  backbone: Backbone,
  out: Output,
): Promise<void> {
  if (weights === null || weights === 'none') return;
  if (weights !== 'imagenet') {
    loadWeights(backbone, weights, { onNote: (text) => void out.write(`weights: ${text}\n`) });
    return;
  }
  const published = imageNetWeights(arch);
  const onProgress = progressBar(out, `fetching ${published.file}, once, in bytes`);
  const file = await fetchWeights(published, { onProgress }).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${error.message}; to start without: ${withoutWeights}`);
  });
  loadWeights(backbone, file);
}

/** null where the loss reads the whole batch. */
export function minerOf(settings: TrainSettings, loss: Loss, random: Random): Miner | null {
  if (!loss.usesTuples) return null;
  const { miner, margin } = settings;
  const cutoff = settings['miner-cutoff'];
  switch (miner) {
    case 'easy-positive':
      return new EasyPositiveMiner({ cutoff });
    case 'distance-weighted':
      return new DistanceWeightedMiner({ random, cutoff, loss });
    default: {
      const [positive, negative] = miner.split('-');
      return new FlexibleTripletMiner({ positive, negative, margin, random } as FlexibleTripletOptions);
    }
  }
}

export function optimizerOf(
  settings: TrainSettings,
  model: EmbeddingModel,
  loss: Loss,
  out: Output,
): TrainingOptimizer {
  const { lr } = settings;
  return new TrainingOptimizer(model, loss, {
    algorithm: algorithmOf(settings),
    learningRate: lr,
    embeddingLearningRateMultiplier: settings['embedding-lr-mult'],
    maskLearningRateMultiplier: settings['mask-lr-mult'],
    lossLearningRate: settings['loss-lr'],
    weightDecay: settings['weight-decay'],
    maskWeightDecayMultiplier: settings['mask-wd-mult'],
    decayVectors: settings['decay-vectors'] === 'yes',
    onWarning: (message) => out.write(`warning: ${message}; --loss-lr 0.01 would train it\n`),
  });
}

export function scheduleOf(settings: TrainSettings): DivisionSchedule {
  const compat = settings.compat === 'dcesml' ? settings.compat : undefined;
  const numLearners = settings['num-learners'];
  return new DivisionSchedule({
    numLearners,
    modEpoch: settings['mod-epoch'],
    divideFrom: settings['divide-from'],
    modEpochFreeze: settings['mod-epoch-freeze'],
    forceFullEmbeddingEpoch: settings['force-full-embedding-epoch'],
    hierarchy: settings.hierarchy,
    startLearners: settings['start-learners'],
    stopRecluster: settings['stop-recluster'] === 'yes',
    ...(compat && { compat }),
  });
}

function algorithmOf({ optimizer: name, 'adam-beta2': beta2 }: TrainSettings): NamedOptimizer {
  switch (name) {
    case 'sgd':
      return { name };
    case 'adamw':
    case 'adam':
      return { name, beta2 };
  }
}

/** How the training loop divides and masks. */
export function divisionOf(settings: TrainSettings) {
  const seed = settings['cluster-seed'];
  return {
    clusterLayer: settings['cluster-layer'],
    clusterBy: settings['cluster-by'],
    clustering: settings.clustering,
    recluster: settings.recluster,
    ...(seed !== null && { clusterSeed: seed }),
    freezeMasksWithOneLearner: settings['freeze-masks-with-one-learner'] === 'yes',
  };
}

/** The batches of one cluster, `--passes-per-epoch` times over. */
export function samplerOf(settings: TrainSettings) {
  const { sampler, replicas } = settings;
  const newSampler = (context: SamplerContext): BatchSampler => {
    switch (sampler) {
      case 'random':
        return random.build({ minClasses: settings['min-classes'] }, context);
      case 'class-balanced':
        return classBalanced.build({}, context);
      case 'npairs':
        return npairs.build({}, context);
      case 'adaptive':
        return adaptive.build({ smallClassAction: settings['small-class-action'] }, context);
    }
  };
  const batchSize = settings['batch-size'];
  const samplesPerClass = settings['samples-per-class'];
  return (indices: Int32Array, splitLabels: Int32Array, random: Random): LearnerBatches => {
    const subset = { indices, labels: indices.map((i) => splitLabels[i] as number), random };
    const once = newSampler({ ...subset, batchSize, samplesPerClass, replicas });
    const passes = settings['passes-per-epoch'];
    return {
      length: once.length * passes,
      *[Symbol.iterator]() {
        for (let pass = 0; pass < passes; pass++) yield* once;
      },
    };
  };
}
