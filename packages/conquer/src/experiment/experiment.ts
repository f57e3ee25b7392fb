import { z } from 'zod';
import { compats } from '../compat.js';
import type { AugmentationPart } from '../data/augmentation.js';
import { augmentations } from '../data/augmentations.js';
import { imageOptions } from '../data/image-options.js';
import { dataOptions } from '../datasets/data.js';
import type { DatasetPart } from '../datasets/dataset.js';
import { datasets } from '../datasets/datasets.js';
import { divisionOptions } from '../divide/division-options.js';
import { openScheduleOptions } from '../divide/usual-division.js';
import { choosingMetrics } from '../evaluate/metrics.js';
import { crossBatchMemoryOptions } from '../losses/cross-batch-memory.js';
import type { LossPart } from '../losses/loss.js';
import { losses } from '../losses/losses.js';
import type { MinerPart } from '../miners/miner.js';
import { miners } from '../miners/miners.js';
import type { BackbonePart } from '../models/backbones/backbone.js';
import { backbones } from '../models/backbones/backbones.js';
import { headOptions } from '../models/embedding-model.js';
import type { HeadPart } from '../models/heads/head.js';
import { heads } from '../models/heads/heads.js';
import type { TuningPart } from '../models/tunings/tuning.js';
import { tunings } from '../models/tunings/tunings.js';
import { gradientCacheOptions } from '../optimize/gradient-cache.js';
import { dividedLearningRate, learningRateOptions } from '../optimize/learning-rates.js';
import { averageOptions } from '../optimize/model-average.js';
import type { OptimizerPart } from '../optimize/optimizer.js';
import { optimizers } from '../optimize/optimizers.js';
import type { SchedulePart } from '../optimize/schedule.js';
import { schedules } from '../optimize/schedules.js';
import { trainingOptimizerOptions } from '../optimize/training-optimizer.js';
import { precisions, usualPrecision } from '../precision.js';
import { batchOptions, type SamplerPart } from '../samplers/batch-sampler.js';
import { samplers } from '../samplers/samplers.js';
import type { TrackerPart } from '../track/tracker.js';
import { trackers } from '../track/trackers.js';
import { ownDataset, ownPart, partOf, weighedPartsOf } from './part-schema.js';

/** What an experiment can name, by the places where it does. */
export interface Parts {
  readonly datasets: readonly DatasetPart[];
  readonly augmentations: readonly AugmentationPart[];
  readonly samplers: readonly SamplerPart[];
  readonly backbones: readonly BackbonePart[];
  readonly heads: readonly HeadPart[];
  readonly tunings: readonly TuningPart[];
  readonly losses: readonly LossPart[];
  readonly miners: readonly MinerPart[];
  readonly optimizers: readonly OptimizerPart[];
  readonly schedules: readonly SchedulePart[];
  readonly trackers: readonly TrackerPart[];
}

/** Those that come with the program. A plugin adds to them: see `withPlugins`. */
export const builtInParts: Parts = {
  datasets,
  augmentations,
  samplers,
  backbones,
  heads,
  tunings,
  losses,
  miners,
  optimizers,
  schedules,
  trackers,
};

/**
 * What a run is, as data: the same object in a recipe, in a run's config.json, in the library's `train()`, and behind the
 * command line, whose flags only fill it. This is the only place where its fields, their ranges, defaults and help stand,
 * but for those of its parts, which stand with them.
 */
const schemaOf = (parts: Parts) =>
  z.strictObject({
    data: dataOptions
      .extend(imageOptions.shape)
      .extend(batchOptions.shape)
      .extend({
        dataset: partOf<typeof datasets>(parts.datasets)
          .or(ownDataset)
          .nullable()
          .default(null)
          .describe('what to train on'),
        augmentation: partOf<typeof augmentations>(parts.augmentations)
          .or(ownPart)
          .prefault({ name: 'standard' })
          .describe('of training images'),
        sampler: partOf<typeof samplers>(parts.samplers)
          .prefault({ name: 'adaptive' })
          .describe('which images make a batch'),
        passesPerEpoch: z.int().min(1).default(1).describe('times an epoch goes through the training set'),
      })
      .prefault({}),
    model: headOptions
      .extend({
        backbone: partOf<typeof backbones>(parts.backbones)
          .or(ownPart)
          .prefault({ name: 'resnet50' })
          .describe('backbone'),
        tuning: partOf<typeof tunings>(parts.tunings)
          .prefault({ name: 'full' })
          .describe('what of the backbone learns'),
        head: partOf<typeof heads>(parts.heads)
          .prefault({ name: 'linear' })
          .describe('what makes the embedding of the pooled features'),
        prefixes: z
          .array(z.int().min(1))
          .default([])
          .describe(
            'the loss is taken of the first so many dimensions too, each list of them an embedding of its own (nested, Matryoshka); evaluation reports R@1 of each',
          ),
        prefixWeights: z
          .array(z.number().min(0))
          .nullable()
          .default(null)
          .describe('how much each of model.prefixes counts beside the whole embedding; null: as much, 1'),
        weights: z
          .string()
          .min(1)
          .nullable()
          .default(null)
          .describe(
            "weights to start the backbone with: published (those its name is of: built in, or fetched once), imagenet (torchvision's), or a file or folder of PyTorch's or safetensors (docs/weights.md); null: drawn at random",
          ),
        batchNorm: z
          .enum(['frozen', 'trained'])
          .nullable()
          .default(null)
          .describe('running statistics of BatchNorm; null: frozen with weights, trained without'),
      })
      .prefault({}),
    loss: z
      .union([partOf<typeof losses>(parts.losses), ownPart, weighedPartsOf<typeof losses>(parts.losses)])
      .prefault({ name: 'margin' })
      .describe('metric loss, or a list of them that are added, each with its weight'),
    miner: partOf<typeof miners>(parts.miners)
      .or(ownPart)
      .prefault({ name: 'distance-weighted' })
      .describe('which tuples of a batch train, for a loss that takes tuples'),
    divide: openScheduleOptions
      .extend(divisionOptions.shape)
      .extend({
        clusterSeed: z
          .int()
          .min(0)
          .nullable()
          .default(null)
          .describe('seed of every division; null: drawn for each, from train.seed'),
        clusterLayer: z
          .enum(['penultimate', 'final'])
          .default('penultimate')
          .describe('features that are clustered'),
        freezeMasksWithOneLearner: z
          .boolean()
          .default(false)
          .describe('do not train the mask while there is one learner'),
        maskLambda: z.number().min(0).default(0.01).describe('weight of the loss that keeps masks apart'),
      })
      .prefault({}),
    optimize: learningRateOptions
      .extend(trainingOptimizerOptions.shape)
      .extend({
        optimizer: partOf<typeof optimizers>(parts.optimizers)
          .prefault({ name: 'adam' })
          .describe('optimiser'),
        schedule: partOf<typeof schedules>(parts.schedules)
          .prefault({ name: 'constant' })
          .describe('course of the learning rates'),
        ema: averageOptions
          .nullable()
          .default(null)
          .describe(
            'evaluate and keep a moving average of the weights as the model; null: the weights themselves',
          ),
        divided: z
          .strictObject({
            learningRate: dividedLearningRate,
            schedule: partOf<typeof schedules>(parts.schedules)
              .prefault({ name: 'cosine' })
              .describe('course of the learning rates from the first division on'),
          })
          .nullable()
          .default(null)
          .describe(
            'from divide.divideFrom on: a learning rate and schedule of their own; null: the one there is goes on',
          ),
      })
      .prefault({}),
    train: z
      .strictObject({
        epochs: z.int().min(1).default(100).describe('epochs'),
        seed: z.int().min(0).default(1).describe('of everything that is drawn'),
        device: z.string().min(1).default('cpu').describe('cpu, or cuda:0, cuda:1, …'),
        precision: z
          .enum(precisions)
          .default(usualPrecision)
          .describe(
            'of the network: bfloat16 is faster where the CPU or card has instructions for it; auto: bfloat16 there, else float32',
          ),
        threads: z
          .int()
          .min(1)
          .max(1024)
          .nullable()
          .default(null)
          .describe('CPU threads of an operator; null: OMP_NUM_THREADS, else one a core'),
        crossBatchMemory: crossBatchMemoryOptions
          .nullable()
          .default(null)
          .describe(
            'let a loss of pairs or tuples see rows of earlier batches (docs/large-batches.md); null: its batch alone',
          ),
        gradientCache: gradientCacheOptions
          .nullable()
          .default(null)
          .describe(
            'take a batch through the network in chunks, twice, with the gradients of the whole; null: at once',
          ),
        activationCheckpointing: z
          .boolean()
          .default(false)
          .describe(
            'keep of each block of the backbone only what goes in, and compute its inside again on the way back: less memory for a second forward pass',
          ),
        accumulate: z
          .int()
          .min(1)
          .max(1e6)
          .default(1)
          .describe('batches, each with its own loss, whose mean gradient makes a step of the optimiser'),
        onNan: z
          .enum(['stop', 'skip'])
          .default('stop')
          .describe(
            'when a loss or gradient is NaN or infinite: stop, or leave out the batch (10 in a row, 1 % of an epoch)',
          ),
      })
      .prefault({}),
    evaluate: z
      .strictObject({
        bestBy: z
          .string()
          .min(1)
          .default('R@1')
          .describe(
            `metric by which the best epoch is chosen, of those that are reported: ${choosingMetrics([1, 2]).join(', ')}; of a data set of pairs ${choosingMetrics([], true).join(', ')}`,
          ),
        metrics: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'what is measured after each epoch besides the usual: metrics by name, such as P@10, mINP or all',
          ),
        untrained: z
          .boolean()
          .default(true)
          .describe('evaluate before the first epoch, to see later what training brought'),
        map: z
          .boolean()
          .default(true)
          .describe("lay the test images out in the plane at the run's end, for the dashboard's map"),
      })
      .prefault({}),
    track: z.array(partOf<typeof trackers>(parts.trackers)).default([]).describe('who follows the run'),
    compat: z
      .enum(compats)
      .nullable()
      .default(null)
      .describe(
        "do as the authors' code where it differs from the paper, or as the Revisiting collection (margin, arcface)",
      ),
  });

type Schema = ReturnType<typeof schemaOf>;

/** To make one takes longer than all that is done with it. */
const schemas = new WeakMap<Parts, Schema>();

/** The schema of an experiment that may name these parts. */
export function experimentSchema(parts: Parts = builtInParts): Schema {
  const schema = schemas.get(parts) ?? schemaOf(parts);
  schemas.set(parts, schema);
  return schema;
}

/** As people write it: what is left out has its default. */
export type ExperimentInput = z.input<Schema>;

/** With all defaults, and checked: what everything takes. */
export type Experiment = z.output<Schema>;
