import {
  type BestEpoch,
  type Division,
  type EpochRecord,
  type RunFolder,
  type Summary,
  scoreOf,
  testImagesOf,
} from '@conquer-dml/run';
import { type Generator, ProcessGroup, scope } from '@conquer-dml/torch';
import type { TrainingData } from '../data/training-data.js';
import type { Dataset } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import { undivided } from '../divide/division.js';
import type { LearnerBatches } from '../divide/interleave.js';
import type { DivisionSchedule } from '../divide/schedule.js';
import { refuseTooManyClusters } from '../divide/trainable.js';
import { refuseOtherMetric, wantedMetrics } from '../evaluate/metrics.js';
import type { Experiment } from '../experiment/experiment.js';
import { Interrupted } from '../interrupted.js';
import type { CrossBatchMemory } from '../losses/cross-batch-memory.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { networkRecord } from '../models/network-record.js';
import type { ModelAverage } from '../optimize/model-average.js';
import type { MomentumEncoder } from '../optimize/momentum-encoder.js';
import type { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { OptionError } from '../option-error.js';
import type { Random } from '../random.js';
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
import type { ImageDifficulty } from './image-difficulty.js';
import type { TrainObserver } from './observer.js';
import { PhaseClock } from './phase-clock.js';
import type { Profile } from './profile.js';
import { requireSame } from './same-on-all.js';
import type { TrainingStep } from './step.js';

/** What a run is made of; all of it stays the caller's. */
export interface SessionParts {
  /** As config.json and the checkpoints are to keep it. */
  experiment: Experiment;
  model: EmbeddingModel;
  /** The one that `step` has. */
  loss: Loss;
  /** The one that `step` has. */
  optimizer: TrainingOptimizer;
  /** The one that `step` has: evaluated, and saved as the model. null or left out: the weights themselves are. */
  average?: ModelAverage | null | undefined;
  /** The one that `step` has: what the loss sees of earlier batches, where it does. */
  memory?: CrossBatchMemory | null | undefined;
  /** The one that `step` has: embeds what the memory keeps. */
  encoder?: MomentumEncoder | null | undefined;
  step: TrainingStep;
  schedule: DivisionSchedule;
  /** The batches of one cluster (or of the whole training set): positions in the training split. */
  sampler: (indices: Int32Array, labels: Int32Array, random: Random) => LearnerBatches;
  /** What the sampler draws by, where it asks for it. */
  difficulty?: ImageDifficulty | undefined;
  data: TrainingData;
  /** What `data` is of. The run keeps a record of it, and goes on with the same data set only. */
  dataset: Dataset;
  /**
   * Factor of all learning rates at a point of the training, in epochs (2.5 = half-way through the third); null: they
   * stay as they were at the step before.
   */
  learningRate: (epoch: number) => number | null;
  /** Draws batches, augmentation and tuples. */
  random: Random;
  /** Draws dropout. */
  generator: Generator;
  /** Where logs and checkpoints go. The caller locks it. */
  run: RunFolder;
  /** Go on from the run's last checkpoint that is whole; from the beginning where there is none yet. */
  resume: boolean;
  /** Ends the training after the step it is in, with Interrupted. */
  signal?: AbortSignal | undefined;
  observer: TrainObserver;
  /** The one that `step` has: processes that train together, of which rank 0 writes. Default: this one. */
  group?: ProcessGroup | undefined;
  /** Told where the time goes; the step has it too. */
  profile?: Profile | undefined;
}

/** A run between its beginning and its end: what it is made of, where it stands, and how that is saved and restored. */
export class Session {
  /** How the training images are shared out now. */
  division: Division;
  /** The first epoch that is not whole yet. */
  firstEpoch = 0;
  /** Where in an epoch the run stands; null between epochs, where the checkpoint on the disk says it all. */
  position: EpochPosition | null = null;
  best: BestEpoch | null = null;
  readonly clock: PhaseClock;
  /** Where every class trains there is nothing to measure on, and the last epoch is the one that stays. */
  readonly measures: boolean;
  /** Nothing of the run is trained yet. */
  readonly isNew: boolean;
  readonly parts: SessionParts & { group: ProcessGroup };
  private masksTrain = true;
  /** Training images seen in whole epochs. */
  private images = 0;
  private readonly datasetHash: string;

  /**
   * Takes a run up where it stands: at its beginning, or where the last checkpoint that is whole has it.
   *
   * @throws UserError when nothing can be learnt from the data, the run folder cannot be written, or a run is resumed
   *   whose epochs are all trained, whose checkpoints are all damaged, or which is another experiment or data set
   */
  constructor(given: SessionParts) {
    const parts = { ...given, group: given.group ?? ProcessGroup.alone() };
    this.parts = parts;
    const { data, experiment, schedule, dataset, run, resume, profile } = parts;
    this.measures = data.testLabels.length > 0;
    if (this.measures)
      refuseOtherMetric(experiment.evaluate.bestBy, dataset.recallAt, data.pairs !== undefined);
    // A name that there is not is said before the first epoch.
    wantedMetrics(experiment.evaluate.metrics, dataset.recallAt);
    const { epochs } = experiment.train;
    const pairs = data.pairs?.train;
    // A run that goes on was let in before.
    if (!resume || !run.hasCheckpoint)
      refuseTooManyClusters(
        schedule.mostClusters(epochs),
        data.trainLabels,
        experiment.divide.clusterBy,
        pairs,
      );
    this.clock = new PhaseClock(profile);
    this.division = undivided(data.trainLabels, 0, pairs);
    const record = recordOf(dataset);
    this.datasetHash = record.sha256;
    const checkpoint = resume ? loadFirstWhole(run.resumable, this.warn) : null;
    this.isNew = checkpoint === null;
    if (resume) {
      // Nothing in the folder changes before it is sure that the run can go on.
      try {
        const built = { loss: parts.loss, miner: parts.step.miner };
        refuseOtherExperiment(run, checkpoint?.state ?? null, { experiment, built, record, warn: this.warn });
        if (checkpoint) this.restore(checkpoint);
      } finally {
        if (checkpoint) disposeCheckpoint(checkpoint);
      }
      run.updateExperiment(experiment);
    }
    const { group } = parts;
    requireSame(group, `where the run in ${run.path} stands`, [this.firstEpoch, this.position]);
    run.writeDataset(record);
    run.writeTestImages(testImagesOf(dataset));
    run.rewindTo(checkpoint ? this.firstEpoch - 1 : -2, this.position);
  }

  readonly warn = (text: string): void => this.parts.observer.onWarning?.(text);

  get epochs(): number {
    return this.parts.experiment.train.epochs;
  }

  /** From the full-embedding phase on the masks are left out and no longer trained. */
  leaveMasksOut(): void {
    if (!this.masksTrain) return;
    this.parts.optimizer.removeMasks();
    this.parts.memory?.empty();
    this.masksTrain = false;
  }

  /** The training set is divided anew. What learners remember of their clusters is of other images now. */
  setDivision(division: Division): void {
    const isDivided = Math.max(this.division.numClusters, division.numClusters) > 1;
    if (isDivided) this.parts.memory?.empty();
    this.division = division;
    this.setLearners(division.numClusters);
  }

  /** The learners that a new division asks for; their masks begin from those there are. */
  private setLearners(numLearners: number): void {
    if (!this.parts.model.setNumLearners(numLearners)) return;
    this.parts.optimizer.replaceMasks();
    this.parts.average?.follow();
    this.parts.encoder?.follow();
  }

  /** Runs `body` with the model as it is to be evaluated and kept: of averaged weights, where there are any. */
  async asKept<T>(body: () => Promise<T>): Promise<T> {
    return await (this.parts.average?.during(body) ?? body());
  }

  /** Saves where the run stands, after the training was interrupted. @throws Interrupted always */
  stop(): never {
    const { run } = this.parts;
    if (this.position !== null) this.save(run.lastCheckpoint, this.position.epoch - 1);
    if (this.parts.group.isFirst) run.writeSummary(this.summarize('stopped'));
    throw new Interrupted(`stopped; what was finished is in ${run.path}`);
  }

  /** Whether an epoch of these metrics is the best so far, by what the experiment chooses by. */
  isBest(found: Pick<EpochRecord, 'metrics' | 'validation'>): boolean {
    const by = this.parts.experiment.evaluate.bestBy;
    return found.metrics !== null && (this.best === null || scoreOf(found, by) > scoreOf(this.best, by));
  }

  /** Logs a whole epoch. */
  endEpoch(record: EpochRecord, isBest: boolean): void {
    const { epoch, metrics, validation } = record;
    if (isBest) this.best = { epoch, metrics: metrics!, ...(validation && { validation }) };
    this.images += record.images ?? 0;
    this.position = null;
    // The log first: a run cut off between the two trains this epoch again and forgets the line.
    this.parts.run.appendEpoch(record);
  }

  /** Checkpoints of a whole epoch. */
  saveEpoch(epoch: number, isBest: boolean): void {
    const { run } = this.parts;
    if (isBest || !this.measures) this.save(run.bestCheckpoint, epoch);
    this.save(run.lastCheckpoint, epoch);
  }

  /** The run is over. */
  finish(): Summary {
    const summary = this.parts.group.broadcastObject(() => this.summarize('finished'));
    this.parts.run.writeSummary(summary);
    return summary;
  }

  private summarize(status: Summary['status']): Summary {
    const { run, experiment, data } = this.parts;
    const { seconds } = this.clock;
    const records = run.epochs();
    const last = records.at(-1);
    const chosenOn = data.validationLabels ? 'validation' : 'test';
    return {
      status,
      experiment,
      epochs: this.epochs,
      best: this.best && { ...this.best, chosenOn, chosenBy: experiment.evaluate.bestBy },
      last: last?.metrics && last.epoch >= 0 ? { epoch: last.epoch, metrics: last.metrics } : null,
      untrained: records.find((record) => record.epoch === -1)?.metrics ?? null,
      queries: data.pairs?.test?.same.length ?? data.testLabels.length,
      seconds,
      imagesPerSecond: seconds.train > 0 ? this.images / seconds.train : 0,
      checkpoints: { best: run.bestCheckpoint, last: run.lastCheckpoint },
    };
  }

  private save(file: string, epoch: number): void {
    if (!this.parts.group.isFirst) return;
    const { experiment, model, loss, optimizer, average, memory, encoder, run, random, generator } =
      this.parts;
    const { difficulty } = this.parts;
    const { tensors, ...optimizerState } = optimizer.stateDict();
    const { clusters, ...division } = this.division;
    if (file === run.lastCheckpoint) run.keepPreviousCheckpoint();
    scope(() => {
      const remembered = memory?.saved();
      saveCheckpoint(file, {
        ...(average
          ? { model: average.stateDict(), trained: model.stateDict() }
          : { model: model.stateDict() }),
        loss: loss.stateDict(),
        optimizer: tensors,
        ...(remembered && { memory: remembered.tensors }),
        ...(encoder && { encoder: encoder.stateDict() }),
        clusters,
        state: {
          experiment,
          network: networkRecord(model),
          dataset: this.datasetHash,
          epoch,
          within: this.position,
          numLearners: model.numLearners,
          masksTrain: this.masksTrain,
          division,
          optimizer: optimizerState,
          ...(average && { average: average.state() }),
          ...(remembered && { memory: remembered.state }),
          ...(encoder && { encoder: encoder.state() }),
          ...(difficulty && { difficulty: difficulty.state() }),
          random: random.getState(),
          generator: Buffer.from(generator.state()).toString('base64'),
          best: this.best,
          seconds: { ...this.clock.seconds },
          images: this.images,
        },
      });
    });
  }

  private restore({ state, ...saved }: Checkpoint): void {
    const { run, model, loss, optimizer, random, generator, data } = this.parts;
    const { average = null, memory = null, encoder = null } = this.parts;
    refuseOtherLength({ state, ...saved }, data.trainLabels.length);
    const ended = run.summary();
    const trained = state.epoch + 1;
    if (ended?.status === 'finished' && ended.epochs === trained && ended.epochs >= this.epochs)
      throw new OptionError('train.epochs', `the run has trained its ${trained}: to go on, ask for more`);
    model.setNumLearners(state.numLearners);
    optimizer.replaceMasks();
    average?.follow();
    encoder?.follow();
    if (!state.masksTrain) this.leaveMasksOut();
    loadParts(run.path, { model, loss, optimizer, average, memory, encoder }, { ...saved, state });
    this.division = { ...state.division, clusters: saved.clusters };
    if (state.difficulty) this.parts.difficulty?.restore(state.difficulty);
    random.setState(state.random);
    if (!loadGenerator(generator, state))
      this.warn(
        'dropout is drawn anew from here on, as the state of a generator does not move between processors',
      );
    this.best = state.best;
    this.images = state.images;
    Object.assign(this.clock.seconds, state.seconds);
    this.firstEpoch = trained;
    this.position = state.within ?? null;
  }
}
