import type { Summary } from '@conquer-dml/run';
import type { View } from '../data/view.js';
import type { Dataset } from '../datasets/dataset.js';
import type { Experiment, ExperimentInput } from '../experiment/experiment.js';
import type { ExperimentWithOwnParts } from '../experiment/own-parts.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Loss } from '../losses/loss.js';
import type { Miner } from '../miners/miner.js';
import { type TrainRequest, train } from './train.js';

type Section<Name extends keyof ExperimentInput> = NonNullable<ExperimentInput[Name]>;

/** The fields of an experiment that are wanted most, side by side; see `train` for all of them. */
export interface TrainEmbeddingOptions
  extends Pick<TrainRequest, 'run' | 'resume' | 'signal' | 'observer' | 'learningRateFactor'> {
  /** What openFolder, openDataset or code of one's own gives. */
  dataset: Dataset;
  /** The backbone's name; with options of its own, an object of both. */
  arch?: Experiment['model']['backbone'] extends infer Part
    ? (Part extends { name: infer Name } ? Name : never) | Section<'model'>['backbone']
    : never;
  /** Further fields of the section `model`. */
  model?: Omit<Section<'model'>, 'backbone' | 'weights' | 'embeddingDim'>;
  weights?: Section<'model'>['weights'];
  embeddingDim?: number;
  /** One that is given has to be on `device`, and stays the caller's. */
  loss?: Loss | Section<'loss'>;
  miner?: Miner | Section<'miner'>;
  numLearners?: number;
  modEpoch?: number;
  maskLambda?: number;
  epochs?: number;
  batchSize?: number;
  samplesPerClass?: number;
  learningRate?: number;
  /** Further fields of the section `optimize`. */
  optimizer?: Omit<Section<'optimize'>, 'learningRate'>;
  imageSize?: number;
  resize?: number;
  /** What a training image goes through. */
  augmented?: View;
  /** Such as 'R@1' or 'MAP@R'. */
  bestBy?: string;
  seed?: number;
  device?: string;
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
 * Trains an embedding of a data set: `train` with its most wanted fields side by side. Defaults are the experiment's.
 *
 * @throws as `train` does
 */
export async function trainEmbedding(options: TrainEmbeddingOptions): Promise<Summary> {
  refuseUnknownOptions('trainEmbedding', options, optionNames);
  const { dataset, arch, model, weights, embeddingDim, loss, miner, epochs, seed, device, bestBy } = options;
  const { numLearners, modEpoch, maskLambda, batchSize, samplesPerClass, imageSize, resize } = options;
  const { learningRate, optimizer, augmented, ...request } = options;
  const experiment: ExperimentWithOwnParts = {
    data: {
      dataset,
      imageSize,
      resize,
      batchSize,
      samplesPerClass,
      ...(augmented && { augmentation: augmented }),
    },
    model: {
      ...model,
      weights: weights === 'none' ? null : weights,
      embeddingDim,
      ...(arch !== undefined && {
        backbone: (typeof arch === 'string' ? { name: arch } : arch) as Section<'model'>['backbone'],
      }),
    },
    ...(loss && { loss }),
    ...(miner && { miner }),
    divide: { numLearners, modEpoch, maskLambda },
    optimize: { ...optimizer, learningRate },
    train: { epochs, seed, device },
    evaluate: { bestBy },
  };
  const { run, resume, signal, observer, learningRateFactor } = request;
  return await train(experiment, { run, resume, signal, observer, learningRateFactor });
}
