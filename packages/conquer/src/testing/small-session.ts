import { RunFolder } from '@conquer-dml/run';
import { type DType, Generator, ProcessGroup, tensor } from '@conquer-dml/torch';
import type { TrainingData } from '../data/training-data.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import {
  buildAverage,
  buildLoss,
  buildMiner,
  buildNetwork,
  buildOptimizer,
  buildSampler,
  buildSchedule,
  type Generators,
  usesDifficulty,
} from '../experiment/build.js';
import { buildLargeBatches } from '../experiment/build-large-batches.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { sharedEmbedder } from '../optimize/shared-embedder.js';
import { Random } from '../random.js';
import { ImageDifficulty } from '../train/image-difficulty.js';
import type { SessionParts } from '../train/session.js';
import { TrainingStep } from '../train/step.js';

// A session of a second, on images in memory, for tests of the training loop.

const SIZE = 16;
export const NUM_CLASSES = 8;
const PER_CLASS = 6;
/** Of every split. */
export const labels = Int32Array.from({ length: NUM_CLASSES * PER_CLASS }, (_, i) =>
  Math.floor(i / PER_CLASS),
);

/** Noisy renderings of one random pattern a class: something that can be learnt in a few steps. */
function makeImages(seed: number): Float32Array[] {
  const random = new Random(seed);
  const draw = (scale: number) =>
    Float32Array.from({ length: 3 * SIZE * SIZE }, () => scale * random.normal());
  const patterns = Array.from({ length: NUM_CLASSES }, () => draw(1));
  return Array.from(labels, (label) => draw(0.7).map((noise, i) => noise + (patterns[label]?.[i] ?? 0)));
}

const splitOf = (name: string): Split => ({
  name,
  paths: Array.from(labels.keys(), (i) => `/data/${name}/${i}.jpg`),
  labels,
  classNames: Array.from({ length: NUM_CLASSES }, (_, label) => `${name} ${label}`),
});
const dataset: Dataset = {
  name: 'patterns',
  train: splitOf('train'),
  test: splitOf('test'),
  recallAt: [1, 2],
};

export function imagesData(): TrainingData {
  const splits = { train: makeImages(1), test: makeImages(2), validation: makeImages(3), gallery: [] };
  const batchOf = (images: Float32Array[], indices: Int32Array) => {
    const pixels = new Float32Array(indices.length * 3 * SIZE * SIZE);
    for (const [row, i] of indices.entries()) pixels.set(images[i] as Float32Array, row * 3 * SIZE * SIZE);
    return {
      images: tensor(pixels, { shape: [indices.length, 3, SIZE, SIZE] }).keep(),
      labels: indices.map((i) => labels[i] as number),
      indices,
    };
  };
  return {
    trainLabels: labels,
    testLabels: labels,
    trainPaths: dataset.train.paths,
    async *augmented(batches, random, done) {
      for (const [at, indices] of batches.entries()) {
        const brightness = 0.1 * random.normal();
        if (at < done) continue;
        const batch = batchOf(splits.train, indices);
        yield { ...batch, images: batch.images.add_(brightness) };
      }
    },
    async *plain(split, { from, count } = { from: 0, count: labels.length }) {
      yield batchOf(splits[split], Int32Array.from(labels.keys()).subarray(from, from + count));
    },
  };
}

const small: ExperimentInput = {
  data: { imageSize: SIZE, batchSize: 12, samplesPerClass: 3, sampler: { name: 'adaptive' } },
  model: { backbone: { name: 'small-resnet', widths: [8, 16] }, embeddingDim: 16, dropout: 0.1 },
  divide: { numLearners: 4, divideFrom: 0, modEpoch: 1, forceFullEmbeddingEpoch: 4, maskLambda: 0.1 },
  optimize: { learningRate: 3e-3, lossLearningRate: 1e-3, maskLearningRateMultiplier: 3 },
};

/** What a test has otherwise: fields of the experiment, and parts of the session. */
export interface SmallSession extends Partial<Omit<SessionParts, 'experiment'>> {
  experiment?: ExperimentInput;
  epochs?: number;
  /** Of the weights; default float32. */
  dtype?: DType;
}

/** A session in the run folder `path`, and what frees its model, loss and optimiser. */
export function smallSession(
  path: string,
  {
    experiment: fields = {},
    epochs = 6,
    resume = false,
    group = ProcessGroup.alone(),
    dtype = 'float32',
    ...others
  }: SmallSession = {},
): { parts: SessionParts; free: () => void } {
  const experiment = resolveExperiment(mergeExperiments(small, { train: { epochs } }, fields));
  const generators: Generators = { generator: new Generator(3), dropoutGenerator: new Generator(4) };
  const random = new Random(5);
  const model = buildNetwork(experiment, generators, {});
  const loss = buildLoss(experiment, NUM_CLASSES, generators.generator, {});
  model.to({ dtype });
  loss.to({ dtype });
  const optimizer = buildOptimizer(experiment, model, loss, {});
  const average = buildAverage(experiment, model);
  const miner = buildMiner(experiment, loss, random, {});
  const largeBatches = buildLargeBatches(experiment, model, loss, generators.dropoutGenerator);
  const { memory, encoder } = largeBatches;
  const { maskLambda } = experiment.divide;
  const { dropoutGenerator } = generators;
  const data = imagesData();
  const measuresDifficulty = usesDifficulty(experiment, {});
  const difficulty = measuresDifficulty ? new ImageDifficulty(data.trainLabels.length) : undefined;
  const parts: SessionParts = {
    experiment,
    model,
    loss,
    optimizer,
    average,
    memory,
    encoder,
    step: new TrainingStep({
      model,
      loss,
      miner,
      optimizer,
      average,
      maskLambda,
      ...largeBatches,
      embedder: sharedEmbedder(group, { model, loss, dropoutGenerator, largeBatches }),
      group,
      measuresDifficulty,
    }),
    schedule: buildSchedule(experiment),
    sampler: buildSampler(experiment, {}, { difficulty }),
    difficulty,
    data,
    dataset,
    learningRate: (epoch) => 1 / (1 + epoch),
    random,
    generator: generators.dropoutGenerator,
    run: !group.isFirst
      ? RunFolder.follow(path)
      : resume
        ? RunFolder.open(path)
        : RunFolder.create(path, experiment),
    group,
    resume,
    observer: {},
    ...others,
  };
  const free = () => {
    average?.dispose();
    largeBatches.dispose();
    optimizer.dispose();
    model.dispose();
    loss.dispose();
  };
  return { parts, free };
}
