import { resolve as pathResolve } from 'node:path';
import { commonFolder, RunFolder, type Settings, type Summary, UserError } from '@conquer/run';
import { Generator } from '@conquer/torch';
import { imageData } from '../data/image-data.js';
import { shortSideOf } from '../data/preprocessing.js';
import type { View } from '../data/view.js';
import type { Dataset } from '../datasets/dataset.js';
import { classesTrainedAndTested } from '../datasets/dataset-record.js';
import { prepareDevice } from '../device.js';
import { DivisionSchedule } from '../divide/schedule.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric } from '../evaluate/evaluate.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Loss } from '../losses/loss.js';
import { MarginLoss } from '../losses/margin.js';
import { DistanceWeightedMiner } from '../miners/distance-weighted.js';
import type { Miner } from '../miners/miner.js';
import { type ModelName, type ModelOptions, openModel } from '../models/open.js';
import { fetchWeights } from '../models/published-weights.js';
import type { SmallResNetShape } from '../models/small-resnet.js';
import { imageNetWeights, loadWeights } from '../models/weights.js';
import { startingLearningRate } from '../optimize/learning-rates.js';
import { type OptimizerOptions, TrainingOptimizer } from '../optimize/training-optimizer.js';
import { Random } from '../random.js';
import { AdaptiveClassBalancedSampler } from '../samplers/adaptive.js';
import { refuseBatchBeyondMemory } from './batch-memory.js';
import { refuseOtherLearningRates, refuseOtherSettings } from './continuation.js';
import { whetherLearnt } from './learnt.js';
import { type TrainObserver, train } from './loop.js';
import { optionsOf } from './part-options.js';
import { seenClassesWarning } from './seen-classes.js';
import { hindrances } from './start.js';
import { TrainingStep } from './step.js';

export interface TrainEmbeddingOptions {
  /** What openFolder, openDataset or code of one's own gives. */
  dataset: Dataset;
  /** Path of the run folder, which is made; an existing run is never written over. */
  run: string;
  /** A name of modelNames; default 'resnet50'. */
  arch?: ModelName;
  /** Further options of the network. */
  model?: Omit<ModelOptions, 'embeddingDim' | 'generator' | 'dropoutGenerator'> & {
    /** For 'small-resnet' only. */
    smallResNet?: SmallResNetShape;
  };
  /**
   * 'imagenet' (torchvision's, fetched once), a file of `torch.save` or safetensors, or null or 'none': drawn at random
   * (default).
   */
  weights?: string | null;
  /** Dimensions of the embedding; default 128. */
  embeddingDim?: number;
  /** Default MarginLoss. One that is given has to be on `device`, and stays the caller's. */
  loss?: Loss;
  /** For a loss that takes tuples; by default distance-weighted. */
  miner?: Miner;
  /** Learners in the end, a power of two; default 4; 1: no division. */
  numLearners?: number;
  /** Redivide every so many epochs; default 2. */
  modEpoch?: number;
  /** Weight of the loss that keeps the learners' masks apart (`maskOrthogonality`); default 0.01. */
  maskLambda?: number;
  /** Default 20. */
  epochs?: number;
  /** Images of a batch; default 80, a multiple of `samplesPerClass` and at least twice as many. */
  batchSize?: number;
  /** Images of each class in a batch; default 4. */
  samplesPerClass?: number;
  /**
   * Of Adam; the masks learn a hundred times as fast. Default 1e-5 for weights that were trained before, and 1e-3 for
   * random ones, which learn next to nothing below 1e-4.
   */
  learningRate?: number;
  /** Further options of the optimiser. */
  optimizer?: Omit<OptimizerOptions, 'learningRate'>;
  /**
   * Factor of the learning rates at a point of the training, in epochs (2.5: half-way through the third);
   * default 1; null: they stay as they were at the step before. A run that goes on needs the one that it was trained
   * with, for the epochs that are trained.
   */
  learningRateFactor?: (epoch: number) => number | null;
  /** Side of the images that the network sees, in pixels; default 224. */
  imageSize?: number;
  /** Short side before the centre is cut out, in pixels; by default 8/7 of the image's side. */
  resize?: number;
  /** What a training image goes through; by default a random crop and flip. */
  augmented?: View;
  /** The metric by which the best epoch is chosen, one of those that are reported; default 'R@1'. */
  bestBy?: `R@${number}` | 'MAP@R' | 'mARP' | 'NMI';
  /** Of everything that is drawn; default 1. */
  seed?: number;
  /** 'cpu' (default), 'cuda:0', … */
  device?: string;
  /** Go on with the run in the folder instead of making it; default false. */
  resume?: boolean;
  /** Ends the training after the step it is in; the run can be resumed. */
  signal?: AbortSignal;
  /** Told of every division, step and epoch. */
  observer?: TrainObserver;
}

/** All of its options. */
const optionNames: OptionNames<TrainEmbeddingOptions> = {
  dataset: true,
  run: true,
  arch: true,
  model: true,
  weights: true,
  embeddingDim: true,
  loss: true,
  miner: true,
  numLearners: true,
  modEpoch: true,
  maskLambda: true,
  epochs: true,
  batchSize: true,
  samplesPerClass: true,
  learningRate: true,
  optimizer: true,
  learningRateFactor: true,
  imageSize: true,
  resize: true,
  augmented: true,
  bestBy: true,
  seed: true,
  device: true,
  resume: true,
  signal: true,
  observer: true,
};

/**
 * Trains an embedding of a data set by divide and conquer, with the settings of the paper unless told otherwise, into a
 * run folder that `TrainedModel`, `conquer index` and `conquer dashboard` open. What it puts together is public too:
 * train() takes each part on its own.
 *
 * @returns the best and the last epoch's metrics, and where the checkpoints are
 * @throws UserError for a run that is there already, for data or options that cannot work, and to go on with a run of
 *   other options, of another data set, or of the command line
 * @throws Interrupted after `signal` was aborted
 */
export async function trainEmbedding(options: TrainEmbeddingOptions): Promise<Summary> {
  refuseUnknownOptions('trainEmbedding', options, optionNames);
  const { dataset, arch = 'resnet50', embeddingDim = 128, epochs = 20, seed = 1 } = options;
  const weights = options.weights === 'none' ? null : (options.weights ?? null);
  const { numLearners = 4, modEpoch = 2, maskLambda = 0.01, bestBy = 'R@1' } = options;
  const learningRate = startingLearningRate(options.learningRate ?? null, weights !== null);
  const { batchSize = 80, samplesPerClass = 4, device = 'cpu', resume = false } = options;
  const { imageSize = 224, resize = shortSideOf(null, imageSize) } = options;
  const seen = classesTrainedAndTested(dataset);
  if (seen.length > 0) {
    throw new UserError(
      `the data set ${dataset.name} tests on classes that it trains on (${seen.length}: ${seen.slice(0, 3).join(', ')}${seen.length > 3 ? ', …' : ''}): expected other classes in test, validation and gallery, or other names for them`,
    );
  }
  // Without dropout unless it is asked for, which runs that go on depend on.
  const { smallResNet, dropout = 0, ...modelOptions } = options.model ?? {};
  const learningRateFactor = options.learningRateFactor ?? (() => 1);
  const frozenBatchNorm = options.model?.frozenBatchNorm ?? weights !== null;
  if (dataset.test.paths.length > 0) refuseOtherMetric(bestBy, dataset.recallAt);
  const warn = options.observer?.onNote?.bind(options.observer) ?? ((text) => process.emitWarning(text));
  const { embeddingLearningRateMultiplier = 1 } = options.optimizer ?? {};
  const start = {
    randomWeights: weights === null,
    frozenBatchNorm,
    learningRate: learningRate * Math.max(1, embeddingLearningRateMultiplier),
  };
  if (!resume) for (const text of hindrances(start)) warn(text);
  refuseBatchBeyondMemory(batchSize, imageSize, device);
  prepareDevice(device);
  const generator = new Generator(seed);
  const dropoutGenerator = new Generator(seed, device);
  const random = new Random(seed);

  const schedule = new DivisionSchedule({ numLearners, modEpoch });
  if (!resume) refuseTooManyClusters(schedule.mostClusters(epochs), dataset.train.labels);
  using model = openModel(arch === 'small-resnet' ? { ...smallResNet, name: arch } : arch, {
    ...modelOptions,
    dropout,
    frozenBatchNorm,
    masks: { numLearners: schedule.at(0).numLearners, ...options.model?.masks },
    embeddingDim,
    generator,
    dropoutGenerator,
  });
  model.backbone.requireImages([1, 3, imageSize, imageSize]);
  // A run that was stopped before its first checkpoint begins anew.
  if (weights !== null && !(resume && RunFolder.open(options.run).hasCheckpoint)) {
    const file = weights === 'imagenet' ? await fetchWeights(imageNetWeights(arch)) : weights;
    loadWeights(model.backbone, file, { onNote: (text) => options.observer?.onNote?.(text) });
    const warning = weights === 'imagenet' ? null : seenClassesWarning(weights, dataset);
    if (warning !== null) options.observer?.onNote?.(warning);
  }
  model.to({ device });
  using defaultLoss = options.loss ? null : new MarginLoss();
  const loss = (options.loss ?? (defaultLoss as MarginLoss)).to({ device });
  const miner = loss.usesTuples ? (options.miner ?? new DistanceWeightedMiner({ random, loss })) : null;
  using optimizer = new TrainingOptimizer(model, loss, {
    // Not the optimiser's default, so that runs of earlier versions go on with what they had.
    weightDecay: 0,
    maskWeightDecayMultiplier: 0,
    ...options.optimizer,
    learningRate,
  });
  const data = await imageData(dataset, {
    input: model.backbone.input,
    size: imageSize,
    resize,
    device,
    ...(options.augmented && { augmented: options.augmented }),
  });

  const settings: Settings = {
    arch,
    bn: frozenBatchNorm ? 'frozen' : 'trained',
    'small-resnet': smallResNet ? JSON.stringify(smallResNet) : null,
    'embedding-dim': embeddingDim,
    'features-pooling': model.pooling,
    masks: options.model?.masks?.kind ?? 'learned',
    'mask-relu': options.model?.masks?.relu === false ? 'no' : 'yes',
    'mask-init': options.model?.masks?.initialisation ?? 'ones',
    ...(model.fullEmbeddingMasks && { 'full-embedding-masks': model.fullEmbeddingMasks }),
    'mask-lambda': maskLambda,
    'features-dropout': dropout,
    'embedding-init': optionsOf(options.model?.embeddingInit ?? {}),
    'num-learners': numLearners,
    'mod-epoch': modEpoch,
    loss: loss.constructor.name,
    'loss-options': optionsOf(loss),
    miner: miner?.constructor.name ?? null,
    'miner-options': miner && optionsOf(miner),
    epochs,
    lr: learningRate,
    optimizer: optionsOf(options.optimizer ?? {}),
    augmentation: options.augmented ? 'own' : 'standard',
    'batch-size': batchSize,
    'samples-per-class': samplesPerClass,
    'image-size': imageSize,
    resize,
    dataset: dataset.name,
    // Where `conquer dashboard` and `conquer report` may take the test images from.
    'image-folder': commonFolder([...dataset.test.paths, ...(dataset.gallery?.paths ?? [])]),
    'best-by': bestBy,
    weights: weights === null || weights === 'imagenet' ? weights : pathResolve(weights),
    seed,
    device,
  };
  const run = resume ? RunFolder.open(options.run) : RunFolder.create(options.run, settings);
  const unlock = run.lock();
  try {
    if (resume) {
      refuseOtherSettings(options.run, run.settings(), settings);
      refuseOtherLearningRates(run, learningRate, learningRateFactor);
    }
    const summary = await train({
      model,
      loss,
      optimizer,
      step: new TrainingStep({ model, loss, miner, optimizer, maskLambda }),
      schedule,
      sampler: (indices, splitLabels, random) => {
        const labels = indices.map((position) => splitLabels[position]!);
        return new AdaptiveClassBalancedSampler({
          indices,
          labels,
          random,
          batchSize,
          samplesPerClass,
          // Not the sampler's default, so that runs of earlier versions go on with the batches that they had.
          smallClassAction: 'duplicate',
        });
      },
      data,
      epochs,
      learningRate: learningRateFactor,
      recallAt: dataset.recallAt,
      bestBy,
      random,
      generator: dropoutGenerator,
      run,
      settings,
      dataset,
      resume,
      ...(options.signal && { signal: options.signal }),
      ...(options.observer && { observer: options.observer }),
    });
    const learnt = whetherLearnt(summary);
    if (learnt && !learnt.better) {
      warn(
        `the run did not learn: ${learnt.metric} was ${learnt.before.toFixed(4)} before training and is ${learnt.best.toFixed(4)} at best, standard ` +
          `error ${learnt.standardError.toFixed(4)}; try pretrained weights, another learning rate, more epochs or more data`,
      );
    }
    return summary;
  } finally {
    unlock();
  }
}
