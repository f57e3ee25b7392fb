import { UserError } from '../error.js';

export interface ScheduleOptions {
  /** The final number of learners. */
  numLearners: number;
  /** Redivide every so many epochs. */
  modEpoch: number;
  /** For so many epochs after a redivision the backbone is frozen. */
  modEpochFreeze?: number;
  /** From this epoch on the masks are left out and the whole embedding trains. */
  forceFullEmbeddingEpoch?: number;
  /** 'top-down' starts with one learner and doubles them; 'none' has all of them from the start. */
  hierarchy?: 'top-down' | 'none';
  /** 'dcesml': it goes on redividing while the full embedding trains. */
  compat?: 'dcesml';
}

/** What the schedule says of one epoch. */
export interface ScheduledEpoch {
  /** Make a new division before the epoch. */
  redivide: boolean;
  /** How many clusters the features are clustered into, before any doubling. */
  numClusters: number;
  /** How many learners there are in this epoch, after any doubling. */
  doubleTo: number;
  freezeBackbone: boolean;
  fullEmbedding: boolean;
}

/**
 * When to divide, when to double, when to freeze: a pure function of the epoch, so that a resumed run needs no
 * history.
 *
 * Epochs count from 0. At every multiple of `modEpoch` the data are redivided, and (top-down) the learners double
 * at each of them but epoch 0, until there are `numLearners`. Once the full embedding trains, batches come
 * from the whole training set, so nothing is redivided, doubled or frozen any more.
 *
 * @throws UserError if the options contradict each other
 */
export class DivisionSchedule {
  private readonly options: Required<Omit<ScheduleOptions, 'compat'>> & Pick<ScheduleOptions, 'compat'>;

  constructor(options: ScheduleOptions) {
    this.options = {
      modEpochFreeze: 0,
      forceFullEmbeddingEpoch: Infinity,
      hierarchy: 'top-down',
      ...options,
    };
    const { numLearners, modEpoch, modEpochFreeze, forceFullEmbeddingEpoch } = this.options;
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
    if (!Number.isInteger(modEpoch) || modEpoch < 1) {
      throw new UserError(`the epochs between redivisions must be a positive integer, got ${modEpoch}`);
    }
    if (!Number.isInteger(modEpochFreeze) || modEpochFreeze < 0 || modEpochFreeze >= modEpoch) {
      throw new UserError(
        `the epochs with a frozen backbone must be 0 to ${modEpoch - 1}, fewer than the ${modEpoch} between ` +
          `redivisions, got ${modEpochFreeze}`,
      );
    }
    if (!(forceFullEmbeddingEpoch >= 0)) {
      throw new UserError(`the first full-embedding epoch must be 0 or more, got ${forceFullEmbeddingEpoch}`);
    }
  }

  at(epoch: number): ScheduledEpoch {
    const { modEpoch, modEpochFreeze, forceFullEmbeddingEpoch, compat } = this.options;
    const fullEmbedding = epoch >= forceFullEmbeddingEpoch;
    const dividing = !fullEmbedding || compat === 'dcesml';
    const redivide = dividing && epoch % modEpoch === 0;
    const doubleTo = this.learnersAt(dividing ? epoch : forceFullEmbeddingEpoch - 1);
    return {
      redivide,
      numClusters: redivide && epoch > 0 ? this.learnersAt(epoch - 1) : doubleTo,
      doubleTo,
      freezeBackbone: dividing && epoch % modEpoch < modEpochFreeze,
      fullEmbedding,
    };
  }

  private learnersAt(epoch: number): number {
    const { numLearners, modEpoch, hierarchy } = this.options;
    if (hierarchy === 'none') return numLearners;
    return Math.min(numLearners, 2 ** Math.floor(Math.max(0, epoch) / modEpoch));
  }
}
