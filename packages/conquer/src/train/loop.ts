import {
  type BestEpoch,
  type Division,
  type EpochRecord,
  type RunFolder,
  type Settings,
  StepLog,
  type StepRecord,
  type Summary,
  scoreOf,
  testImagesOf,
  UserError,
} from '@conquer/run';
import { type Generator, noGrad, scope } from '@conquer/torch';
import type { TrainingData } from '../data/training-data.js';
import type { Dataset } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { withPauses } from '../distances/steps.js';
import { type DivideOptions, divideSteps, undivided } from '../divide/division.js';
import type { ClusterBy } from '../divide/division-options.js';
import { interleavedLength, interleaveLearners, type LearnerBatches } from '../divide/interleave.js';
import type { DivisionSchedule } from '../divide/schedule.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric } from '../evaluate/evaluate.js';
import { Interrupted } from '../interrupted.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { Random } from '../random.js';
import {
  type Checkpoint,
  disposeCheckpoint,
  type EpochPosition,
  loadFirstWhole,
  loadGenerator,
  loadParts,
  saveCheckpoint,
} from './checkpoint.js';
import { refuseOtherExperiment, refuseOtherLength } from './continuation.js';
import { embedImages, type Layer } from './embed.js';
import { evaluateModel, type ModelEvaluation } from './evaluate-model.js';
import { NotFiniteGuard, type OnNan } from './not-finite.js';
import type { Profile } from './profile.js';
import type { StepResult, TrainingStep } from './step.js';
import { surroundings, writeTestEmbeddings } from './test-embeddings.js';

/** What the loop tells while it works; whoever prints decides how. */
export interface TrainObserver {
  /** Once, before anything else: the run's log holds what happened before, and nothing that will happen again. */
  onStart?(): void;
  /** The training set was divided anew. */
  onDivision?(division: Division): void;
  /** `epoch` counts from 0; `steps` are those of the epoch, batches of all learners together. */
  onEpochStart?(info: {
    epoch: number;
    epochs: number;
    steps: number;
    numLearners: number;
    fullEmbedding: boolean;
  }): void;
  /** After each step; `step` counts from 0 within the epoch, `images` are the batch's. */
  onStep?(info: { epoch: number; step: number; images: number; learner: number; result: StepResult }): void;
  /** A line of the run's step log: about a second of steps. */
  onSteps?(record: StepRecord): void;
  /** Images embedded so far, for the division or the evaluation. */
  onEmbed?(info: { purpose: 'divide' | 'evaluate'; done: number; total: number }): void;
  /** After an epoch was saved; also, as epoch -1, after the evaluation before training. */
  onEpochEnd?(record: EpochRecord, best: boolean): void;
  /** Something went wrong that the run goes on from, in a line. */
  onNote?(text: string): void;
}

export interface TrainOptions {
  model: EmbeddingModel;
  /** The one that `step` has. */
  loss: Loss;
  /** The one that `step` has. */
  optimizer: TrainingOptimizer;
  step: TrainingStep;
  schedule: DivisionSchedule;
  /** The batches of one cluster (or of the whole training set): positions in the training split. */
  sampler: (indices: Int32Array, labels: Int32Array, random: Random) => LearnerBatches;
  data: TrainingData;
  /** To train in all, those before a resumption included. */
  epochs: number;
  /**
   * Factor of all learning rates at a point of the training, in epochs (2.5 = half-way through the third); null: they
   * stay as they were at the step before.
   */
  learningRate: (epoch: number) => number | null;
  /** The features that are clustered; default 'penultimate'. */
  clusterLayer?: Layer;
  /** What is clustered; default 'image'. */
  clusterBy?: ClusterBy;
  /** Where k-means starts; default 'kmeans'. */
  clustering?: DivideOptions['clustering'];
  /** Which learner gets which cluster; default 'reassign'. */
  recluster?: DivideOptions['recluster'];
  /** Every division starts from this seed; without one it draws from `random`. */
  clusterSeed?: number;
  /** The masks rest while there is one learner; default false. */
  freezeMasksWithOneLearner?: boolean;
  /** The k's of Recall@k. */
  recallAt: readonly number[];
  /** The metric by which the best epoch is chosen, one of `choosingMetrics(recallAt)`; default 'R@1'. */
  bestBy?: string;
  /** Evaluate before the first epoch too; default true. */
  evaluateUntrained?: boolean;
  /** 'dcesml': cluster by cluster in the full-embedding phase too, and its reassignment. */
  compat?: 'dcesml';
  /** What happens to a batch whose loss or gradient is NaN or infinite; default 'stop'. */
  onNan?: OnNan;
  /** Draws batches, augmentation and tuples. */
  random: Random;
  /** Draws dropout. */
  generator: Generator;
  /** Where logs and checkpoints go. The caller locks it. */
  run: RunFolder;
  /** As config.json and the checkpoints are to keep them. */
  settings: Settings;
  /**
   * What `data` is of. The run keeps a record of it, and goes on with the same data set only; without it that is the
   * caller's business.
   */
  dataset?: Dataset;
  /**
   * Go on from the run's last checkpoint that is whole; from the beginning where there is none yet. Default
   * false.
   */
  resume?: boolean;
  /** Ends the training after the step it is in, with Interrupted. */
  signal?: AbortSignal;
  observer?: TrainObserver;
  /** Told where the time goes; the step has it too. */
  profile?: Profile | undefined;
}

/** All of its options. */
const optionNames: OptionNames<TrainOptions> = {
  model: true,
  loss: true,
  optimizer: true,
  step: true,
  schedule: true,
  sampler: true,
  data: true,
  epochs: true,
  learningRate: true,
  clusterLayer: true,
  clusterBy: true,
  clustering: true,
  recluster: true,
  clusterSeed: true,
  freezeMasksWithOneLearner: true,
  recallAt: true,
  bestBy: true,
  evaluateUntrained: true,
  compat: true,
  onNan: true,
  random: true,
  generator: true,
  run: true,
  settings: true,
  dataset: true,
  resume: true,
  signal: true,
  observer: true,
  profile: true,
};

/**
 * Divide, conquer, join (Sanakoyeu et al., arXiv 2109.04003, algorithm 1). From top to bottom, each epoch:
 * divide the training set among the learners where the schedule says so, double the learners, train them on
 * their clusters in turn (later the whole embedding on everything), evaluate on unseen classes, save.
 *
 * All state that the next step depends on is in the checkpoint: a resumed run gives the numbers of one that
 * was never interrupted. Model, loss and optimiser stay the caller's.
 *
 * @throws Interrupted after `signal` was aborted; every step that was finished is in the last checkpoint
 * @throws UserError when nothing can be learnt from the data, a loss or gradient is not finite (see `onNan`),
 *   the run folder cannot be written, or a run is resumed whose epochs are all trained, whose checkpoints
 *   are all damaged, or which was trained with other settings or on another data set
 */
export async function train(options: TrainOptions): Promise<Summary> {
  refuseUnknownOptions('train', options, optionNames);
  const { model, loss, optimizer, schedule, data, epochs, random, generator, run, settings } = options;
  const { clusterLayer = 'penultimate', compat, observer = {}, signal, profile } = options;
  const { trainLabels } = data;
  const bestBy = options.bestBy ?? 'R@1';
  // Where every class trains there is nothing to measure on, and the last epoch is the one that stays.
  const measures = data.testLabels.length > 0;
  if (measures) refuseOtherMetric(bestBy, options.recallAt);
  const record = options.dataset ? recordOf(options.dataset) : null;

  // A run that goes on was let in before.
  if (!options.resume || !run.hasCheckpoint)
    refuseTooManyClusters(schedule.mostClusters(epochs), trainLabels, options.clusterBy);
  let division = undivided(trainLabels);
  let masksTrain = true;
  let best: BestEpoch | null = null;
  let images = 0;
  // Where in an epoch the run stands; null between epochs, where the checkpoint on the disk says it all.
  let position: EpochPosition | null = null;
  const seconds = { divide: 0, train: 0, evaluate: 0, total: 0 };
  const clock = (phase: 'divide' | 'train' | 'evaluate') => {
    const start = performance.now();
    return () => {
      const passed = (performance.now() - start) / 1000;
      seconds[phase] += passed;
      seconds.total += passed;
      profile?.endPhase(phase, passed);
      return passed;
    };
  };
  const summarize = (status: Summary['status']): Summary => {
    const records = run.epochs();
    const last = records.at(-1);
    return {
      status,
      settings,
      epochs,
      best: best && { ...best, chosenOn: data.validationLabels ? 'validation' : 'test', chosenBy: bestBy },
      last: last?.metrics && last.epoch >= 0 ? { epoch: last.epoch, metrics: last.metrics } : null,
      untrained: records.find((record) => record.epoch === -1)?.metrics ?? null,
      queries: data.testLabels.length,
      seconds,
      imagesPerSecond: seconds.train > 0 ? images / seconds.train : 0,
      checkpoints: { best: run.bestCheckpoint, last: run.lastCheckpoint },
    };
  };
  const save = (file: string, epoch: number) => {
    const { tensors, ...optimizerState } = optimizer.stateDict();
    const { clusters, ...divisionState } = division;
    if (file === run.lastCheckpoint) run.keepPreviousCheckpoint();
    saveCheckpoint(file, {
      model: model.stateDict(),
      loss: loss.stateDict(),
      optimizer: tensors,
      clusters,
      state: {
        settings,
        ...(record && { dataset: record.sha256 }),
        epoch,
        within: position,
        numLearners: model.numLearners,
        masksTrain,
        division: divisionState,
        optimizer: optimizerState,
        random: random.getState(),
        generator: Buffer.from(generator.state()).toString('base64'),
        best,
        seconds: { ...seconds },
        images,
      },
    });
  };
  const stop = (): never => {
    if (position !== null) save(run.lastCheckpoint, position.epoch - 1);
    run.writeSummary(summarize('stopped'));
    throw new Interrupted(`stopped; what was finished is in ${run.path}`);
  };
  // Long work between steps gives up half-way: it changes nothing, and is done again when the run goes on.
  const untilStopped = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => (error instanceof Interrupted ? stop() : Promise.reject(error)));

  const evaluate = (split: 'test' | 'validation'): Promise<ModelEvaluation> =>
    untilStopped(
      evaluateModel(model, data, {
        split,
        recallAt: options.recallAt,
        signal,
        profile,
        onProgress: (progress) => observer.onEmbed?.({ purpose: 'evaluate', ...progress }),
      }),
    );
  const validate = async (): Promise<Pick<EpochRecord, 'validation'>> => {
    if (!data.validationLabels) return {};
    const { metrics, dispose } = await evaluate('validation');
    dispose();
    return { validation: metrics };
  };

  let firstEpoch = 0;
  const note = (text: string) => observer.onNote?.(text);
  const checkpoint = options.resume ? loadFirstWhole(run.resumable, note) : null;
  const restore = ({ state, ...saved }: Checkpoint): EpochPosition | null => {
    const ended = run.summary();
    if (ended?.status === 'finished' && ended.epochs === state.epoch + 1 && ended.epochs >= epochs) {
      throw new UserError(
        `the run has trained its ${state.epoch + 1} epochs: to go on, give --epochs a larger number`,
      );
    }
    model.setNumLearners(state.numLearners);
    optimizer.replaceMasks();
    masksTrain = state.masksTrain;
    if (!masksTrain) optimizer.removeMasks();
    loadParts(run.path, { model, loss, optimizer }, { ...saved, state });
    division = { ...state.division, clusters: saved.clusters };
    random.setState(state.random);
    if (!loadGenerator(generator, state))
      note(
        'dropout is drawn anew from here on, as the state of a generator does not move between processors',
      );
    best = state.best;
    images = state.images;
    Object.assign(seconds, state.seconds);
    firstEpoch = state.epoch + 1;
    return state.within ?? null;
  };
  if (options.resume) {
    // Nothing in the folder changes before it is sure that the run can go on.
    try {
      refuseOtherExperiment(run, checkpoint?.state ?? null, { settings, record, note });
      if (checkpoint) {
        refuseOtherLength(checkpoint, trainLabels.length);
        position = restore(checkpoint);
      }
    } finally {
      if (checkpoint) disposeCheckpoint(checkpoint);
    }
    run.updateSettings(settings);
  }
  if (options.dataset && record) {
    run.writeDataset(record);
    run.writeTestImages(testImagesOf(options.dataset));
  }
  run.rewindTo(checkpoint ? firstEpoch - 1 : -2, position);
  observer.onStart?.();
  if (!checkpoint && measures && (options.evaluateUntrained ?? true)) {
    const stopEvaluating = clock('evaluate');
    const { metrics, collapsed, dispose } = await evaluate('test');
    dispose();
    const record: EpochRecord = {
      epoch: -1,
      metrics,
      ...(await validate()),
      ...(collapsed && { collapsed }),
      seconds: { evaluate: stopEvaluating() },
    };
    run.appendEpoch(record);
    observer.onEpochEnd?.(record, false);
  }

  profile?.take(); // the evaluation before training is no epoch's
  for (let epoch = firstEpoch; epoch < epochs; epoch++) {
    if (signal?.aborted) stop();
    const plan = schedule.at(epoch);
    const begun: EpochPosition | null = position;
    const took = begun?.took ?? { train: 0 };

    // Divide: cluster the training set in the present embedding space; each cluster becomes a learner's.
    if (plan.redivide && !begun) {
      const stopDividing = clock('divide');
      if (plan.numLearners === 1) {
        division = undivided(trainLabels, epoch);
      } else {
        const features = await untilStopped(
          embedImages(model, data.plain('train'), {
            layer: clusterLayer,
            signal,
            profile,
            onProgress: (done) => observer.onEmbed?.({ purpose: 'divide', done, total: trainLabels.length }),
          }),
        );
        const { numClusters, numLearners } = plan;
        const dividing = divideSteps({
          features,
          labels: trainLabels,
          previous: division,
          numClusters,
          numLearners,
          ...(options.clusterBy && { clusterBy: options.clusterBy }),
          ...(options.clustering && { clustering: options.clustering }),
          ...(options.recluster && { recluster: options.recluster }),
          epoch,
          random: options.clusterSeed === undefined ? random : new Random(options.clusterSeed),
          compat,
        });
        const divided = withPauses(dividing, signal).finally(() => features.dispose());
        division = await untilStopped(divided);
      }
      if (model.setNumLearners(division.numClusters)) optimizer.replaceMasks();
      took.divide = stopDividing();
      run.appendDivision(division);
      observer.onDivision?.(division);
    }

    // Join: from the full-embedding phase on the masks are left out and no longer trained.
    if (plan.fullEmbedding && masksTrain) {
      optimizer.removeMasks();
      masksTrain = false;
    }
    optimizer.freeze('backbone', plan.freezeBackbone);
    optimizer.freeze('masks', (options.freezeMasksWithOneLearner ?? false) && model.numLearners === 1);

    // Conquer: each learner trains on its cluster, in turn; the full embedding on the whole training set.
    const stopTraining = clock('train');
    const goesOnFrom = random.getState();
    if (begun) random.setState(begun.drawnFrom);
    const drawnFrom = random.getState();
    const everything = plan.fullEmbedding && compat !== 'dcesml';
    const learners = everything
      ? [options.sampler(positionsOf(undivided(trainLabels), 0), trainLabels, random)]
      : Array.from({ length: division.numClusters }, (_, k) => clusterSampler(options, division, k));
    const steps = interleavedLength(learners);
    if (steps === 0)
      throw new UserError('no cluster has two classes of two images: use fewer learners, or more data');
    const batches = [...interleaveLearners(learners)];
    // Augmentation has its own stream: it is drawn ahead of the steps, and the miner draws in between.
    const augmentation = random.fork();
    if (begun) random.setState(goesOnFrom);
    observer.onEpochStart?.({
      epoch,
      epochs,
      steps,
      numLearners: model.numLearners,
      fullEmbedding: plan.fullEmbedding,
    });

    model.train();
    const log = new StepLog((record) => {
      run.appendSteps(record);
      observer.onSteps?.(record);
    });
    const sums = begun?.sums ?? { metricLoss: 0, maskLoss: 0, trained: 0, skipped: 0, images: 0 };
    position = { epoch, step: begun?.step ?? 0, drawnFrom, sums, took };
    const guard = new NotFiniteGuard({
      onNan: options.onNan ?? 'stop',
      model,
      step: options.step,
      run,
      paths: data.trainPaths,
      epoch,
      steps,
      onNote: note,
    });
    profile?.start();
    const indices = batches.map((batch) => batch.indices);
    for await (const batch of data.augmented(indices, augmentation, position.step)) {
      profile?.lap('data');
      const at = position.step;
      const learner = batches[at]?.learner ?? 0;
      const factor = options.learningRate(epoch + at / steps);
      if (factor !== null) optimizer.setFactor(factor);
      const { labels } = batch;
      const input = { images: batch.images, labels, learner, fullEmbedding: plan.fullEmbedding };
      const result = guard.run(at, input, batch.indices);
      batch.images.dispose();
      sums.images += labels.length;
      if (result.skipped === null) {
        sums.trained++;
        sums.metricLoss += result.metricLoss ?? 0;
        sums.maskLoss += result.maskLoss ?? 0;
      } else {
        sums.skipped++;
      }
      log.add({ epoch, step: at, steps, images: labels.length }, result);
      observer.onStep?.({ epoch, step: at, images: labels.length, learner, result });
      position.step++;
      // Batches from memory come as microtasks: without a turn of the event loop no signal would be heard.
      await new Promise((resolve) => setImmediate(resolve));
      profile?.endStep();
      if (signal?.aborted) {
        log.end();
        took.train += stopTraining();
        stop();
      }
    }
    if (sums.trained === 0) {
      throw new UserError(
        `epoch ${epoch + 1}: not one of ${steps} batches had a tuple to learn from; look at the sampler and the miner's cutoffs`,
      );
    }
    const learningRates = optimizer.currentLearningRates();
    took.train += stopTraining();

    const stopEvaluating = clock('evaluate');
    const evaluated = measures ? await evaluate('test') : null;
    const metrics = evaluated?.metrics ?? null;
    const validation = await validate();
    const isBest =
      metrics !== null &&
      (best === null || scoreOf({ metrics, ...validation }, bestBy) > scoreOf(best, bestBy));
    const looking =
      isBest && evaluated ? withPauses(surroundings(evaluated, model.numLearners), signal) : null;
    const around = looking && (await untilStopped(looking));
    images += sums.images;
    position = null;

    if (isBest) best = { epoch, metrics, ...validation };
    const record: EpochRecord = {
      epoch,
      metrics,
      ...validation,
      metricLoss: sums.metricLoss / sums.trained,
      maskLoss: sums.maskLoss / sums.trained,
      steps,
      skipped: sums.skipped,
      images: sums.images,
      numLearners: model.numLearners,
      fullEmbedding: plan.fullEmbedding,
      backboneFrozen: plan.freezeBackbone,
      learningRates,
      ...(evaluated?.collapsed && { collapsed: true }),
      seconds: { ...took, evaluate: stopEvaluating() },
      ...(profile && { profile: profile.take() }),
    };

    // The log first: a run cut off between the two trains this epoch again and forgets the line.
    run.appendEpoch(record);
    run.appendMasks(epoch, effectiveMasks(model));
    if (around && evaluated) {
      writeTestEmbeddings(run.embeddingsFile, { ...evaluated, model, around, epoch });
    }
    evaluated?.dispose();
    if (isBest || !measures) save(run.bestCheckpoint, epoch);
    save(run.lastCheckpoint, epoch);
    observer.onEpochEnd?.(record, isBest);
  }

  const summary = summarize('finished');
  run.writeSummary(summary);
  return summary;
}

/** (K, D), as numbers for the log. */
function effectiveMasks(model: EmbeddingModel): number[][] {
  return scope(() => noGrad(() => model.learnerMasks.effective().tolist() as number[][]));
}

function positionsOf(division: Division, cluster: number): Int32Array {
  return Int32Array.from(division.clusters.keys()).filter((i) => division.clusters[i] === cluster);
}

/** The batches of one learner; none when its cluster has fewer than two classes: nothing can be learnt there. */
function clusterSampler(options: TrainOptions, division: Division, cluster: number): LearnerBatches {
  if ((division.classCounts[cluster] ?? 0) < 2) return { length: 0, *[Symbol.iterator]() {} };
  return options.sampler(positionsOf(division, cluster), options.data.trainLabels, options.random);
}
