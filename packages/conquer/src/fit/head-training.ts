import type { Division } from '@conquer-dml/run';
import { Generator, noGrad, type Tensor } from '@conquer-dml/torch';
import { divide, undivided } from '../divide/division.js';
import { interleaveLearners, type LearnerBatches } from '../divide/interleave.js';
import type { ScheduledEpoch } from '../divide/schedule.js';
import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import {
  buildAverage,
  buildLearningRates,
  buildLoss,
  buildMiner,
  buildNetwork,
  buildOptimizer,
  buildSampler,
  buildSchedule,
  usesDifficulty,
} from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment, Parts } from '../experiment/experiment.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { Random } from '../random.js';
import { checkStop } from '../stop-check.js';
import { ImageDifficulty } from '../train/image-difficulty.js';
import { TrainingStep } from '../train/step.js';
import type { KeptFeatures } from './keep-features.js';
import type { AbsentNetwork } from './kept-backbone.js';
import { KeptBackbone } from './kept-backbone.js';
import { drawnViews, type LabelledPhotos } from './kept-data.js';

/** Retrieval among classes that were not trained on: fractions. */
export interface Score {
  recallAt1: number;
  mapAtR: number;
}

export interface HeadTrainingOptions {
  /** How the head is made and trained; its data set is not read. */
  experiment: Experiment;
  kept: KeptFeatures;
  network: AbsentNetwork;
  train: LabelledPhotos;
  /** What the experiment's names mean; default those of the program. */
  parts?: Parts | undefined;
  /** Told of each division. */
  onDivision?: ((division: Division) => void) | undefined;
  /** Told after each epoch, counted from 0; true ends the training. */
  onEpoch?: (epoch: number, model: EmbeddingModel) => boolean;
  /** Told of each epoch's steps. */
  onSteps?: (steps: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Trains a head on kept features: divides, trains and takes turns as `train()` does with images, without a run on the disk.
 *
 * @returns the model, in evaluation mode, which takes rows in the place of images; it belongs to the caller
 * @throws Interrupted after `signal` was aborted
 */
export async function trainHead(options: HeadTrainingOptions): Promise<EmbeddingModel> {
  const { experiment, network, train, parts: named, onDivision, onEpoch, onSteps, signal } = options;
  const generators = {
    generator: new Generator(experiment.train.seed),
    dropoutGenerator: new Generator(experiment.train.seed),
  };
  const random = new Random(experiment.train.seed);
  const builder: Builder = {
    own: { backbone: new KeptBackbone(network) },
    ...(named && { parts: named }),
    onWarning: () => {},
  };
  const model = buildNetwork(experiment, generators, builder);
  const numClasses = train.labels.reduce((most, label) => Math.max(most, label + 1), 0);
  try {
    using loss = buildLoss(experiment, numClasses, generators.generator, builder);
    const miner = buildMiner(experiment, loss, random, builder);
    using optimizer = buildOptimizer(experiment, model, loss, builder);
    using average = buildAverage(experiment, model);
    const { maskLambda } = experiment.divide;
    const measuresDifficulty = usesDifficulty(experiment, builder);
    const difficulty = measuresDifficulty ? new ImageDifficulty(train.photos.length) : undefined;
    const parts = { model, loss, miner, optimizer, average, maskLambda, measuresDifficulty };
    const step = new TrainingStep(parts);
    const schedule = buildSchedule(experiment);
    const sampler = buildSampler(experiment, builder, { categories: train.categories, difficulty });
    const learningRate = buildLearningRates(experiment);
    let division: Division = undivided(train.labels);
    model.train();
    for (let epoch = 0; epoch < experiment.train.epochs; epoch++) {
      const plan = schedule.at(epoch);
      difficulty?.startEpoch();
      if (plan.redivide) {
        division = redivided(options, model, { plan, division, epoch, random });
        onDivision?.(division);
        if (model.setNumLearners(division.numClusters)) {
          optimizer.replaceMasks();
          average?.follow();
        }
      }
      if (plan.fullEmbedding) optimizer.removeMasks();
      optimizer.freeze('masks', experiment.divide.freezeMasksWithOneLearner && model.numLearners === 1);
      const shared = plan.fullEmbedding ? undivided(train.labels) : division;
      const learners = Array.from({ length: shared.numClusters }, (_, k) =>
        batchesOf(shared, k, (indices) => sampler(indices, train.labels, random)),
      );
      const batches = [...interleaveLearners(learners)];
      const views = random.fork();
      for (const [at, { learner, indices }] of batches.entries()) {
        const factor = learningRate(epoch + at / batches.length);
        if (factor !== null) optimizer.setFactor(factor);
        const labels = indices.map((place) => train.labels[place]!);
        using images = drawnViews(
          options.kept,
          indices.map((place) => train.photos[place]!),
          views,
        );
        const result = step.run({ images, labels, learner, fullEmbedding: plan.fullEmbedding });
        if (result.difficulties) difficulty?.observe(indices, result.difficulties);
      }
      onSteps?.(batches.length);
      // A turn of the event loop, so that signals are heard.
      await new Promise((resolve) => setImmediate(resolve));
      checkStop(signal);
      model.eval();
      const ended = await (average
        ? average.during(async () => onEpoch?.(epoch, model))
        : onEpoch?.(epoch, model));
      model.train();
      if (ended) break;
    }
    model.eval();
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}

function batchesOf(
  division: Division,
  cluster: number,
  sampled: (indices: Int32Array) => LearnerBatches,
): LearnerBatches {
  if ((division.classCounts[cluster] ?? 0) < 2) return { length: 0, *[Symbol.iterator]() {} };
  return sampled(Int32Array.from(division.clusters.keys()).filter((i) => division.clusters[i] === cluster));
}

function redivided(
  { experiment, kept, train, signal }: HeadTrainingOptions,
  model: EmbeddingModel,
  {
    plan,
    division,
    epoch,
    random,
  }: { plan: ScheduledEpoch; division: Division; epoch: number; random: Random },
): Division {
  if (plan.numLearners === 1) return undivided(train.labels, epoch);
  const { clusterLayer, clusterSeed, clustering, recluster, clusterBy, clusterSample } = experiment.divide;
  using features = embedded(model, kept, train.photos, clusterLayer);
  return divide({
    features,
    labels: train.labels,
    previous: division,
    numClusters: plan.numClusters,
    numLearners: plan.numLearners,
    ...{ clusterBy, clusterSample, clustering, recluster, epoch },
    random: clusterSeed === null ? random : new Random(clusterSeed),
    stop: signal,
  });
}

/** (n, D) or (n, F) of photos as evaluation sees them, each row of length 1; belongs to the caller. */
export function embedded(
  model: EmbeddingModel,
  kept: KeptFeatures,
  photos: Int32Array,
  layer: 'final' | 'penultimate' = 'final',
): Tensor {
  const { training } = model;
  using rows = kept.plain(photos);
  model.eval();
  try {
    return noGrad(() => (layer === 'final' ? model.embed(rows) : model.features(rows)));
  } finally {
    model.train(training);
  }
}

/** What retrieval among these rows comes to. */
export function scoreOf(embeddings: Tensor, labels: Int32Array, signal?: AbortSignal): Score {
  const found = evaluateEmbeddings(embeddings, labels, { recallAt: [1], nmi: false, stop: signal });
  return { recallAt1: found['R@1']!, mapAtR: found['MAP@R']! };
}
