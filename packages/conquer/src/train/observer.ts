import type { Division, EpochRecord, StepRecord } from '@conquer-dml/run';
import type { Dataset, Split } from '../datasets/dataset.js';
import type { Experiment } from '../experiment/experiment.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { StepResult } from './step.js';

export interface SplitSize {
  images: number;
  /** Of images that are known to be the same, where they are known by pairs. */
  classes: number;
  /** How many pairs are listed; not where images have classes. */
  pairs?: number;
}

/** How large a data set is; null for a split that it does not have. */
export interface DatasetSizes {
  name: string;
  train: SplitSize;
  test: SplitSize;
  validation: SplitSize | null;
  gallery: SplitSize | null;
}

const sizeOf = ({ paths, classNames, pairs }: Split): SplitSize => ({
  images: paths.length,
  classes: classNames.length,
  ...(pairs && { pairs: pairs.first.length }),
});

export function sizesOf({ name, train, test, validation, gallery }: Dataset): DatasetSizes {
  return {
    name,
    train: sizeOf(train),
    test: sizeOf(test),
    validation: validation ? sizeOf(validation) : null,
    gallery: gallery ? sizeOf(gallery) : null,
  };
}

/**
 * What a training tells while it works; whoever prints decides how. All of it is plain data, so that the one who is told
 * may be another thread.
 */
export interface TrainObserver {
  /** Something is prepared that may take long, such as decoding: `what` it is, and how far. */
  onPreparation?(info: { what: string; done: number; total: number }): void;
  /** All is built, and the run folder is there. */
  onBegin?(info: { experiment: Experiment; data: DatasetSizes; threads: number; run: string }): void;
  /** Once, before anything else is logged: the run's log holds what happened before, and nothing that will happen again. */
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
  onWarning?(text: string): void;
  /** Something worth knowing that is as it should be, in a line: what the weights are, the rates of layers. */
  onNote?(text: string): void;
}

const calls: OptionNames<TrainObserver> = {
  onPreparation: true,
  onBegin: true,
  onStart: true,
  onDivision: true,
  onEpochStart: true,
  onStep: true,
  onSteps: true,
  onEmbed: true,
  onEpochEnd: true,
  onWarning: true,
  onNote: true,
};

/** All that an observer can be told. */
export const observerCalls = Object.keys(calls) as readonly (keyof TrainObserver)[];

/**
 * Refuses an observer that waits for what is never told. An object of a class may have fields of its own.
 *
 * @throws UserError that names the first call that there is not, and the nearest that there is
 */
export function refuseUnknownCalls(observer: TrainObserver): void {
  const isPlain = Object.getPrototypeOf(observer) === Object.prototype;
  const names = namesIn(observer).filter((name) => isPlain || /^on[A-Z]/.test(name));
  refuseUnknownOptions('observer', Object.fromEntries(names.map((name) => [name, true])), calls);
}

function namesIn(object: object): string[] {
  const above = Object.getPrototypeOf(object) as object | null;
  if (above === null || object === Object.prototype) return [];
  return [...Object.getOwnPropertyNames(object), ...namesIn(above)];
}
