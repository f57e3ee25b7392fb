import { join } from 'node:path';
import { RunFolder, writeFileAtomic } from '@conquer-dml/run';
import { Generator } from '@conquer-dml/torch';
import type { Dataset } from '../datasets/dataset.js';
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
import type { Experiment } from '../experiment/experiment.js';
import type { Backbone } from '../models/backbones/backbone.js';
import { Random } from '../random.js';
import { ImageDifficulty } from '../train/image-difficulty.js';
import { runEpochs } from '../train/loop.js';
import type { TrainObserver } from '../train/observer.js';
import { RunLock } from '../train/run-lock.js';
import { TrainingStep } from '../train/step.js';
import { FIT_FILE, type FitReport } from './fit-report.js';
import type { KeptFeatures } from './keep-features.js';
import { KeptBackbone } from './kept-backbone.js';
import { KeptData } from './kept-data.js';

export interface WriteRunOptions {
  path: string;
  experiment: Experiment;
  /** Every class trains. */
  dataset: Dataset;
  /** Becomes the model's. */
  backbone: Backbone;
  kept: KeptFeatures;
  report: FitReport;
  observer: TrainObserver;
  signal?: AbortSignal | undefined;
}

/**
 * Trains the head on all classes, by kept features, into a run of the whole network: what opens, resumes or shows a run finds one
 * that was trained on photos with its backbone frozen. A run that was cut off goes on.
 *
 * @throws UserError where there is a finished run, or one of another experiment
 * @throws Interrupted after `signal` was aborted
 */
export async function writeRun(options: WriteRunOptions): Promise<void> {
  const { path, experiment, dataset, backbone, kept, report, observer, signal } = options;
  using lock = new RunLock();
  const goesOn = RunFolder.exists(path) && RunFolder.open(path).summary()?.status !== 'finished';
  const run = lock.take(goesOn ? RunFolder.open(path) : RunFolder.create(path, experiment));
  writeFileAtomic(join(run.path, FIT_FILE), `${JSON.stringify(report, null, 2)}\n`);
  const builder: Builder = { own: { backbone: new KeptBackbone(backbone) }, onWarning: observer.onWarning };
  const { seed } = experiment.train;
  const generators = { generator: new Generator(seed), dropoutGenerator: new Generator(seed) };
  const random = new Random(seed);
  using model = buildNetwork(experiment, generators, builder);
  using loss = buildLoss(experiment, dataset.train.classNames.length, generators.generator, builder);
  const miner = buildMiner(experiment, loss, random, builder);
  using optimizer = buildOptimizer(experiment, model, loss, builder);
  using average = buildAverage(experiment, model);
  const { maskLambda } = experiment.divide;
  const measuresDifficulty = usesDifficulty(experiment, builder);
  const { paths, categories } = dataset.train;
  const difficulty = measuresDifficulty ? new ImageDifficulty(paths.length) : undefined;
  await runEpochs({
    ...{ experiment, model, loss, optimizer, average, random, run, dataset, signal, observer },
    step: new TrainingStep({ model, loss, miner, optimizer, average, maskLambda, measuresDifficulty }),
    schedule: buildSchedule(experiment),
    sampler: buildSampler(experiment, builder, { categories, difficulty }),
    difficulty,
    data: new KeptData(kept, photosFor(dataset, kept), paths),
    learningRate: buildLearningRates(experiment),
    generator: generators.dropoutGenerator,
    resume: goesOn,
  });
}

/** In the place of a photo that cannot be read the next one of its class that can, as in training on images. */
function photosFor({ train }: Dataset, { bad }: KeptFeatures) {
  const good = new Map<number, number[]>();
  for (const [photo, label] of train.labels.entries())
    if (bad[photo] === 0) good.set(label, [...(good.get(label) ?? []), photo]);
  const places = Int32Array.from(train.labels.keys()).map((photo) => {
    if (bad[photo] === 0) return photo;
    const others = good.get(train.labels[photo]!) ?? [...good.values()][0]!;
    return others.find((other) => other > photo) ?? others[0]!;
  });
  return {
    photos: places,
    labels: train.labels.map((label, at) =>
      bad[at] === 0 || good.has(label) ? label : train.labels[places[at]!]!,
    ),
  };
}
