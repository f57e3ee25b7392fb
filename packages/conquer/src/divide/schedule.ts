import { UserError } from '@conquer/run';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';

export const hierarchies = ['top-down', 'bottom-up', 'none'] as const;
export type Hierarchy = (typeof hierarchies)[number];

export interface ScheduleOptions {
  /** The final number of learners, a power of two (bottom-up: the first one). */
  numLearners: number;
  /** Redivide every so many epochs, at least 1; counted from `divideFrom`. */
  modEpoch: number;
  /**
   * Until this epoch one learner trains on everything: division pays from a well-trained start, and costs from a weak
   * one (docs/results.md). Default 0.
   */
  divideFrom?: number;
  /** For so many epochs after a redivision, fewer than `modEpoch`, the backbone is frozen; default 0. */
  modEpochFreeze?: number;
  /** From this epoch on the masks are left out and the whole embedding trains; default never. */
  forceFullEmbeddingEpoch?: number;
  /**
   * 'top-down' (default) starts with few learners and doubles them, 'bottom-up' starts with all and halves
   * them to one, 'none' has all of them throughout.
   */
  hierarchy?: Hierarchy;
  /** Top-down: the learners to start with, 1 (default) or 2. */
  startLearners?: number;
  /**
   * No more divisions, and no more freezing, once there are as many learners as there will be (without a
   * hierarchy: after the first epochs with a frozen backbone). Default false.
   */
  stopRecluster?: boolean;
  /** 'dcesml': it goes on redividing while the full embedding trains. */
  compat?: 'dcesml';
}

/** All of its options. */
const optionNames: OptionNames<ScheduleOptions> = {
  numLearners: true,
  modEpoch: true,
  divideFrom: true,
  modEpochFreeze: true,
  forceFullEmbeddingEpoch: true,
  hierarchy: true,
  startLearners: true,
  stopRecluster: true,
  compat: true,
};

/** What the schedule says of one epoch. */
export interface ScheduledEpoch {
  /** Make a new division before the epoch. */
  redivide: boolean;
  /** How many clusters the features are clustered into, before any doubling or halving. */
  numClusters: number;
  /** How many learners there are in this epoch, after any doubling or halving. */
  numLearners: number;
  /** The backbone's learning rate is 0. */
  freezeBackbone: boolean;
  /** The masks are left out. */
  fullEmbedding: boolean;
}

/**
 * When to divide, when to double, when to freeze: a pure function of the epoch, so that a resumed run needs
 * no history (Sanakoyeu et al., arXiv 2109.04003, algorithm 1).
 *
 * Epochs count from 0. From `divideFrom` on, at every `modEpoch`-th epoch the data are redivided, and the learners double
 * (top-down) or halve (bottom-up) at each of these but the first, until there are `numLearners`, or one. With
 * `stopRecluster` the epoch after that number was reached ends dividing and freezing, as in dcesml. Once the
 * full embedding trains, batches come from the whole training set, so nothing is redivided, doubled or frozen
 * any more.
 */
export class DivisionSchedule {
  private readonly options: Required<Omit<ScheduleOptions, 'compat'>> & Pick<ScheduleOptions, 'compat'>;

  /** @throws UserError if a number is out of its range, or the options contradict each other */
  constructor(options: ScheduleOptions) {
    refuseUnknownOptions('DivisionSchedule', options, optionNames);
    this.options = {
      modEpochFreeze: 0,
      divideFrom: 0,
      forceFullEmbeddingEpoch: Infinity,
      hierarchy: 'top-down',
      startLearners: 1,
      stopRecluster: false,
      ...options,
    };
    const { numLearners, modEpoch, modEpochFreeze, divideFrom, forceFullEmbeddingEpoch } = this.options;
    if (!Number.isInteger(numLearners) || numLearners < 1) {
      throw new UserError(`the number of learners must be a positive integer, got ${numLearners}`);
    }
    if (!Number.isInteger(Math.log2(numLearners))) {
      const below = 2 ** Math.floor(Math.log2(numLearners));
      throw new UserError(
        `the number of learners must be a power of two, because they double, got ${numLearners}; ` +
          `use ${below} or ${below * 2}`,
      );
    }
    if (this.options.startLearners !== 1 && this.options.startLearners !== 2) {
      throw new UserError(`the learners to start with must be 1 or 2, got ${this.options.startLearners}`);
    }
    if (!Number.isInteger(modEpoch) || modEpoch < 1) {
      throw new UserError(`the epochs between redivisions must be a positive integer, got ${modEpoch}`);
    }
    if (!Number.isInteger(modEpochFreeze) || modEpochFreeze < 0 || modEpochFreeze >= modEpoch) {
      throw new UserError(
        `the epochs with a frozen backbone must be 0 to ${modEpoch - 1}, fewer than the ${modEpoch} between ` +
          `redivisions, got ${modEpochFreeze}`,
      );
    }
    if (!Number.isInteger(divideFrom) || divideFrom < 0) {
      throw new UserError(`the first epoch that divides must be an integer of 0 or more, got ${divideFrom}`);
    }
    if (!(forceFullEmbeddingEpoch >= 0)) {
      throw new UserError(`the first full-embedding epoch must be 0 or more, got ${forceFullEmbeddingEpoch}`);
    }
  }

  /** @param epoch counted from 0 */
  at(epoch: number): ScheduledEpoch {
    const { modEpoch, modEpochFreeze, divideFrom, forceFullEmbeddingEpoch, compat } = this.options;
    const fullEmbedding = epoch >= forceFullEmbeddingEpoch;
    const dividing = !fullEmbedding || compat === 'dcesml';
    const lastDivided = dividing ? epoch : forceFullEmbeddingEpoch - 1;
    if (divideFrom > 0 && lastDivided < divideFrom) {
      const redivide = epoch === 0;
      return { redivide, numClusters: 1, numLearners: 1, freezeBackbone: false, fullEmbedding };
    }
    const since = epoch - divideFrom;
    const stopped = this.options.stopRecluster && since >= this.stopEpoch();
    const redivide = dividing && (stopped ? since === 0 : since % modEpoch === 0);
    const numLearners = this.learnersAt(lastDivided - divideFrom);
    return {
      redivide,
      numClusters: redivide && since > 0 ? this.learnersAt(since - 1) : numLearners,
      numLearners,
      freezeBackbone: dividing && !stopped && since % modEpoch < modEpochFreeze,
      fullEmbedding,
    };
  }

  /** The most clusters that any division of the first `epochs` epochs makes; 1 where none divides. */
  mostClusters(epochs: number): number {
    const { divideFrom, modEpoch } = this.options;
    let most = 1;
    // The learners double or halve at each division: after 64 of them nothing becomes more.
    for (let i = 0; i < 64; i++) {
      const epoch = divideFrom + i * modEpoch;
      if (epoch >= epochs) break;
      const { redivide, numClusters, numLearners } = this.at(epoch);
      if (redivide) most = Math.max(most, numClusters, numLearners);
    }
    return most;
  }

  /** Epochs since `divideFrom` at whose start the learners have their final number. */
  private stopEpoch(): number {
    const { hierarchy, modEpoch, modEpochFreeze } = this.options;
    if (hierarchy === 'none') return modEpochFreeze;
    const steps = Math.abs(Math.log2(this.learnersAt(Infinity) / this.learnersAt(0)));
    return steps === 0 ? 0 : steps * modEpoch + 1;
  }

  /** @param epoch since `divideFrom` */
  private learnersAt(epoch: number): number {
    const { numLearners, modEpoch, hierarchy, startLearners } = this.options;
    if (hierarchy === 'none') return numLearners;
    const factor = 2 ** Math.floor(Math.max(0, epoch) / modEpoch);
    return hierarchy === 'bottom-up'
      ? Math.max(1, numLearners / factor)
      : Math.min(numLearners, startLearners * factor);
  }
}
