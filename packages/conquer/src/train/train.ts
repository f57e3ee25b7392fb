import { availableParallelism } from 'node:os';
import { counted, RunFolder, type StoredExperiment, type Summary, UserError, valueAt } from '@conquer/run';
import { Generator, numThreads } from '@conquer/torch';
import type { Dataset } from '../datasets/dataset.js';
import { classesTrainedAndTested, recordOf } from '../datasets/dataset-record.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric } from '../evaluate/metrics.js';
import {
  type Builder,
  buildBadImages,
  buildDataset,
  buildImages,
  buildLearningRates,
  buildLoss,
  buildMiner,
  buildModel,
  buildNetwork,
  buildOptimizer,
  buildSampler,
  buildSchedule,
} from '../experiment/build.js';
import { builtInParts, type Experiment, type Parts } from '../experiment/experiment.js';
import { type ExperimentWithOwnParts, separateOwnParts } from '../experiment/own-parts.js';
import { optionsOf } from '../experiment/part-options.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { Random } from '../random.js';
import { refuseBatchBeyondMemory } from './batch-memory.js';
import { refuseOtherDataset, refuseOtherLearningRates, refuseOtherSettings } from './continuation.js';
import { setUpEngine } from './engine.js';
import { whetherLearnt } from './learnt.js';
import { runEpochs } from './loop.js';
import { sizesOf, type TrainObserver } from './observer.js';
import { Profile } from './profile.js';
import { seenClassesWarning } from './seen-classes.js';
import { startWarning } from './start.js';
import { TrainingStep } from './step.js';

export interface TrainRequest {
  /** Path of the run folder, which is made; an existing run is never written over. */
  run: string;
  /** Go on with the run in the folder instead of making it; default false. */
  resume?: boolean | undefined;
  /** Ends the training after the step it is in; the run can be resumed. */
  signal?: AbortSignal | undefined;
  /** Told of every preparation, division, step and epoch. */
  observer?: TrainObserver | undefined;
  /** What names mean; default: the parts that come with the program. */
  parts?: Parts | undefined;
  /** Keep decoded images on this machine's disk; by default as the experiment has it. What the network sees is the same. */
  cached?: boolean | undefined;
  /** Measure where the time goes; default false. */
  profile?: boolean | undefined;
  /**
   * In the place of the experiment's schedule: factor of the learning rates at a point of the training, in epochs (2.5:
   * half-way through the third); null: they stay as they were at the step before. A run that goes on needs the one that it
   * was trained with, for the epochs that are trained.
   */
  learningRateFactor?: ((epoch: number) => number | null) | undefined;
}

/**
 * Trains an experiment by divide and conquer, with the settings of the paper unless told otherwise, into a run folder that
 * `openModel`, `conquer index` and `conquer dashboard` open.
 *
 * @param given an experiment (`{ data: { dataset: { name: 'folder', folder: 'photos' } } }`), in which a data set, loss,
 *   miner, backbone or augmentation may also be code of one's own
 * @returns the best and the last epoch's metrics, and where the checkpoints are
 * @throws OptionError for an experiment that cannot be, before anything is written
 * @throws UserError for a run that is there already, for data that cannot work, and to go on with a run of another
 *   experiment or data set
 * @throws Interrupted after `signal` was aborted
 */
export async function train(given: ExperimentWithOwnParts, request: TrainRequest): Promise<Summary> {
  const summary = await trainRun(given, request);
  const verdict = howLittleWasLearnt(summary);
  if (verdict !== null) (request.observer?.onNote?.bind(request.observer) ?? process.emitWarning)(verdict);
  return summary;
}

/** The same without a word on how well it went. */
export async function trainRun(given: ExperimentWithOwnParts, request: TrainRequest): Promise<Summary> {
  const { run: path, resume = false, parts, observer = {}, signal } = request;
  const { experiment: input, own } = separateOwnParts(given);
  const experiment = resolveExperiment(input, parts);
  const { data: section, train: training, evaluate, divide, optimize } = experiment;
  if (!resume && RunFolder.exists(path)) RunFolder.create(path, experiment); // refuses, before the data are read
  using lock = new Lock();
  const resumed = resume ? lock.take(RunFolder.open(path)) : null;
  const goesOn = resumed?.hasCheckpoint ?? false;
  setUpEngine(experiment);

  // Nobody listens: a warning of the process then.
  const note = (text: string) => (observer.onNote ? observer.onNote(text) : process.emitWarning(text));
  const builder: Builder = {
    ...(parts && { parts }),
    own,
    onNote: note,
    onPreparation: (what) => (progress) => observer.onPreparation?.({ what, ...progress }),
    ...(signal && { signal }),
  };
  const processors = availableParallelism();
  if ((training.threads ?? 0) > processors)
    note(
      `train.threads ${training.threads} on ${counted(processors, 'processor')}: threads wait for each other, which takes longer than fewer threads do`,
    );
  refuseBatchBeyondMemory(section.batchSize, section.imageSize, training.device);
  const schedule = buildSchedule(experiment);
  const dataset = await buildDataset(experiment, builder);
  refuseSeenClasses(dataset);
  const record = recordOf(dataset);
  // The loop refuses these too; here it is before anything is decoded or built.
  if (resumed) refuseOtherDataset(path, { record: resumed.dataset() }, record);
  if (!goesOn)
    refuseTooManyClusters(schedule.mostClusters(training.epochs), dataset.train.labels, divide.clusterBy);
  if (dataset.test.paths.length > 0) refuseOtherMetric(evaluate.bestBy, dataset.recallAt);
  const count = dataset.train.paths.length;
  if (section.batchSize > count)
    note(
      `data.batchSize ${section.batchSize} is more than the ${count} training images: batches repeat images`,
    );
  const bad = await buildBadImages(experiment, dataset, builder);
  const { seed, device } = training;
  const generators = { generator: new Generator(seed), dropoutGenerator: new Generator(seed, device) };
  const random = new Random(seed);
  // A run that goes on has its weights in the checkpoint.
  if (!goesOn) warnOfStart(experiment, dataset, parts ?? builtInParts, note);
  using model = goesOn
    ? buildNetwork(experiment, generators, builder)
    : await buildModel(experiment, generators, builder);
  const loss = buildLoss(experiment, dataset.train.classNames.length, generators.generator, builder);
  using _ = own.loss ? null : loss;
  using optimizer = buildOptimizer(experiment, model, loss, builder);
  const miner = buildMiner(experiment, loss, random, builder);
  if (resumed) {
    const before = resumed.experiment();
    refuseOtherSettings(path, before, comparable(experiment, before, { loss, miner }));
  }
  const data = await buildImages(experiment, dataset, model.view, { bad, cached: request.cached }, builder);
  const learningRate = request.learningRateFactor ?? buildLearningRates(experiment);
  if (resumed && request.learningRateFactor)
    refuseOtherLearningRates(resumed, optimize.learningRate!, request.learningRateFactor);
  const run = resumed ?? lock.take(RunFolder.create(path, experiment));
  observer.onBegin?.({ experiment, data: sizesOf(dataset), threads: numThreads(), run: run.path });

  const profile = request.profile ? new Profile() : undefined;
  return await runEpochs({
    model,
    loss,
    optimizer,
    step: new TrainingStep({ model, loss, miner, optimizer, maskLambda: divide.maskLambda, profile }),
    schedule,
    sampler: buildSampler(experiment, builder),
    data,
    experiment,
    learningRate,
    random,
    generator: generators.dropoutGenerator,
    run,
    dataset,
    resume,
    signal,
    observer,
    profile,
  });
}

/** A run's lock, until it is disposed. */
class Lock {
  private unlock = () => {};

  take(run: RunFolder): RunFolder {
    this.unlock = run.lock();
    return run;
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}

function refuseSeenClasses(dataset: Dataset): void {
  const seen = classesTrainedAndTested(dataset);
  if (seen.length === 0) return;
  throw new UserError(
    `the data set ${dataset.name} tests on classes that it trains on (${seen.length}: ${seen.slice(0, 3).join(', ')}${seen.length > 3 ? ', …' : ''}): expected other classes in test, validation and gallery, or other names for them`,
  );
}

/** Says what will keep a network from learning, and which of the classes to test on its weights have seen. */
function warnOfStart(
  experiment: Experiment,
  dataset: Dataset,
  parts: Parts,
  note: (text: string) => void,
): void {
  const start = startWarning(experiment, parts);
  if (start !== null) note(start);
  const { weights } = experiment.model;
  const seen = weights === null || weights === 'imagenet' ? null : seenClassesWarning(weights, dataset);
  if (seen !== null) note(seen);
}

/** The experiment as far as the run can be compared with it: a part that it knows as code only is described likewise. */
function comparable(
  experiment: Experiment,
  before: StoredExperiment,
  built: { loss: object; miner: object | null },
): StoredExperiment {
  const described = (part: object) => ({ own: part.constructor.name, options: optionsOf(part) });
  const wasOwn = (section: 'loss' | 'miner') => valueAt(before, `${section}.own`) !== undefined;
  return {
    ...(experiment as unknown as StoredExperiment),
    ...(wasOwn('loss') && 'name' in experiment.loss && { loss: described(built.loss) }),
    ...(wasOwn('miner') && 'name' in experiment.miner && built.miner && { miner: described(built.miner) }),
  };
}

function howLittleWasLearnt(summary: Summary): string | null {
  const learnt = whetherLearnt(summary);
  if (learnt === null || learnt.better) return null;
  const { metric, before, best, standardError } = learnt;
  return (
    `the run did not learn: ${metric} was ${before.toFixed(4)} before training and is ${best.toFixed(4)} at best, standard ` +
    `error ${standardError.toFixed(4)}; try pretrained weights, another learning rate, more epochs or more data`
  );
}
