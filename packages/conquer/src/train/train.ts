import { RunFolder, type Summary, UserError } from '@conquer-dml/run';
import { numThreads, ProcessGroup } from '@conquer-dml/torch';
import type { Split } from '../datasets/dataset.js';
import { withAbsolutePaths } from '../experiment/absolute-paths.js';
import {
  buildBadImages,
  buildImages,
  buildLearningRates,
  buildSampler,
  buildSchedule,
  usesDifficulty,
} from '../experiment/build.js';
import type { Builder } from '../experiment/builder.js';
import type { Experiment, Parts } from '../experiment/experiment.js';
import { type ExperimentWithOwnParts, separateOwnParts } from '../experiment/own-parts.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { Interrupted } from '../interrupted.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { mapRun } from '../map/map-run.js';
import { sharedEmbedder } from '../optimize/shared-embedder.js';
import { Random } from '../random.js';
import { calibrateOn } from './calibrate-run.js';
import { refuseOtherLearningRates, refuseOtherSettings } from './continuation.js';
import { setUpEngine } from './engine.js';
import { withFrozenFeatures } from './frozen-features.js';
import { ImageDifficulty } from './image-difficulty.js';
import { howLittleWasLearnt } from './learnt.js';
import { leaveOnFailure } from './leave-on-failure.js';
import { runEpochs } from './loop.js';
import { refuseUnknownCalls, sizesOf, type TrainObserver } from './observer.js';
import { prepareDataset } from './prepare-dataset.js';
import { Profile } from './profile.js';
import { RunLock } from './run-lock.js';
import { requireSameWork } from './same-on-all.js';
import { warnOfStart } from './start.js';
import { TrainingStep } from './step.js';
import { Trainee } from './trainee.js';

export interface TrainRequest {
  /** Path of the run folder, which is made; an existing run is never written over. */
  run: string;
  /** Go on with the run in the folder instead of making it; default false. */
  resume?: boolean | undefined;
  /** Ends the training after the step it is in; the run can be resumed. */
  signal?: AbortSignal | undefined;
  /**
   * Processes that train this together, over all of which a batch is one: each calls train() with the same. Rank 0 writes the run,
   * which the others read where it goes on. Default: this process. A failure leaves the group, with its reason.
   */
  group?: ProcessGroup | undefined;
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

const requestNames: OptionNames<TrainRequest> = {
  run: true,
  resume: true,
  signal: true,
  observer: true,
  group: true,
  parts: true,
  cached: true,
  profile: true,
  learningRateFactor: true,
};

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
 * @throws ProcessGroupError where another process of the group is lost, or has failed
 */
export async function train(given: ExperimentWithOwnParts, request: TrainRequest): Promise<Summary> {
  const summary = await trainRun(given, request);
  const verdict = howLittleWasLearnt(summary);
  if (verdict !== null) warningsTo(request.observer)(verdict);
  return summary;
}

/** The same without a word on how well it went. */
export async function trainRun(given: ExperimentWithOwnParts, request: TrainRequest): Promise<Summary> {
  refuseUnknownOptions('train', request, requestNames);
  const { group = ProcessGroup.alone() } = request;
  return await leaveOnFailure(group, () => trainIn(group, given, request));
}

async function trainIn(
  group: ProcessGroup,
  given: ExperimentWithOwnParts,
  request: TrainRequest,
): Promise<Summary> {
  const { run: path, resume = false, parts, observer = {}, signal } = request;
  refuseUnknownCalls(observer);
  const { experiment: input, own } = separateOwnParts(given);
  const open = resolveExperiment(withAbsolutePaths(input), parts);
  if (group.isFirst && !resume && RunFolder.exists(path)) RunFolder.create(path, open); // refuses, before the data are read
  using lock = new RunLock();
  const folder = (open: () => RunFolder) => (group.isFirst ? lock.take(open()) : RunFolder.follow(path));
  const resumed = resume ? folder(() => RunFolder.open(path)) : null;
  setUpEngine(open);
  const builder: Builder = {
    ...(parts && { parts }),
    own,
    onWarning: warningsTo(observer),
    onNote: (text) => observer?.onNote?.(text),
    onPreparation: (what) => (progress) => observer.onPreparation?.({ what, ...progress }),
    ...(signal && { signal }),
  };
  const { experiment, why, dataset } = await prepareDataset(open, builder, resumed);
  const learningRate = request.learningRateFactor ?? buildLearningRates(experiment);
  const measuresDifficulty = usesDifficulty(experiment, builder);
  const difficulty = measuresDifficulty ? new ImageDifficulty(dataset.train.paths.length) : undefined;
  const { categories, labels, pairs } = dataset.train;
  const sampler = buildSampler(experiment, builder, { categories, pairs, difficulty });
  // Refuses what it cannot draw batches of, before anything is written.
  sampler(Int32Array.from(labels.keys()), labels, new Random(experiment.train.seed));
  const bad = await buildBadImages(experiment, dataset, builder);
  // A run that goes on has its weights in the checkpoint.
  const goesOn = resumed?.hasCheckpoint ?? false;
  if (!goesOn) warnOfStart(experiment, dataset, builder);
  using trainee = await Trainee.build(experiment, dataset, { builder, goesOn });
  if (resumed) refuseOtherRun(resumed, experiment, trainee, request);
  const { view } = trainee.model;
  const images = await buildImages(experiment, dataset, view, { bad, cached: request.cached }, builder);
  const data = withFrozenFeatures(images, trainee.model, experiment, builder, group.size);
  const run = resumed ?? folder(() => RunFolder.create(path, experiment));
  requireSameWork(group, experiment, dataset);
  observer.onBegin?.({ experiment, data: sizesOf(dataset), threads: numThreads(), run: run.path });
  if (why !== null) builder.onNote?.(why);
  const profile = request.profile ? new Profile() : undefined;
  const { model, loss, miner, optimizer, average, largeBatches, random, dropoutGenerator } = trainee;
  const { memory, encoder } = largeBatches;
  const { maskLambda } = experiment.divide;
  const summary = await runEpochs({
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
      embedder: sharedEmbedder(group, trainee),
      group,
      measuresDifficulty,
      profile,
    }),
    schedule: buildSchedule(experiment),
    sampler,
    difficulty,
    data,
    experiment,
    learningRate,
    random,
    generator: dropoutGenerator,
    run,
    dataset,
    resume,
    signal,
    observer,
    group,
    profile,
  }).finally(() => data.close?.());
  if (!group.isFirst) return summary;
  if (dataset.validation) await calibrateTrained(run, dataset.validation, experiment, builder);
  if (experiment.evaluate.map && experiment.data.trainOn !== 'all') await mapTrained(run, builder);
  return summary;
}

/** What the dashboard shows of the best epoch. The run is whole without: who ends the program now goes without, too. */
async function mapTrained(run: RunFolder, { onPreparation, onNote, signal }: Builder): Promise<void> {
  try {
    await mapRun(run, { onPreparation, stop: signal });
  } catch (error) {
    if (error instanceof Interrupted)
      onNote?.('stopped while the test images were laid out: there is no map');
    else if (error instanceof UserError || error instanceof RangeError)
      onNote?.(`there is no map of the test images: ${error.message}`);
    else throw error;
  }
}

/** What the similarities of the best epoch mean, on the classes or pairs that it was chosen on. */
async function calibrateTrained(
  run: RunFolder,
  validation: Split,
  experiment: Experiment,
  builder: Builder,
): Promise<void> {
  try {
    // What the network is computed in was said when it was built.
    const { onNote: _, onWarning: __, ...silent } = builder;
    await calibrateOn(run, validation, experiment, silent);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    builder.onNote?.(`similarities are not calibrated: ${error.message}`);
  }
}

/** The session refuses these too; here it is before anything is decoded. */
function refuseOtherRun(
  run: RunFolder,
  experiment: Experiment,
  trainee: Trainee,
  { run: path, learningRateFactor }: TrainRequest,
): void {
  refuseOtherSettings(path, run.experiment(), experiment, trainee);
  if (learningRateFactor)
    refuseOtherLearningRates(run, experiment.optimize.learningRate!, learningRateFactor);
}

/** Where nobody listens, a warning of the process. */
const warningsTo =
  (observer: TrainObserver = {}) =>
  (text: string): void =>
    observer.onWarning ? observer.onWarning(text) : process.emitWarning(text);
