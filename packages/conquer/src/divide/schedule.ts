import { z } from 'zod';
import type { Compat } from '../compat.js';
import { OptionError } from '../option-error.js';
import { withDefaults } from '../part.js';

/** When an experiment divides. Its field of the same name says what each option does. */
export const scheduleOptions = z.strictObject({
  numLearners: z
    .int()
    .min(1)
    .describe('learners in the end (bottom-up: in the beginning), a power of two; 1: no division'),
  hierarchy: z
    .enum(['top-down', 'bottom-up', 'none'])
    .default('top-down')
    .describe('double the learners from few on, halve them down to one, or have all throughout'),
  startLearners: z.int().min(1).max(2).default(1).describe('top-down: learners in the beginning'),
  modEpoch: z.int().min(1).default(2).describe('redivide every so many epochs, counted from divideFrom'),
  divideFrom: z
    .int()
    .min(0)
    .default(0)
    .describe('epochs that one learner trains on everything before the first division'),
  modEpochFreeze: z
    .int()
    .min(0)
    .default(0)
    .describe('epochs after a redivision, fewer than modEpoch, in which the backbone is frozen'),
  forceFullEmbeddingEpoch: z
    .int()
    .min(0)
    .nullable()
    .default(null)
    .describe('from this epoch on train the whole embedding, without masks'),
  stopRecluster: z
    .boolean()
    .default(false)
    .describe('no more divisions or frozen backbones once there are as many learners as there will be'),
});

export interface ScheduleOptions extends z.input<typeof scheduleOptions> {
  /** 'dcesml': it goes on redividing while the full embedding trains. */
  compat?: Compat | null;
}

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
  private readonly options: z.output<typeof scheduleOptions>;
  /** Infinity: never. */
  private readonly fullEmbeddingFrom: number;
  private readonly asDcesml: boolean;

  /** @throws UserError if a number is out of its range, or the options contradict each other */
  constructor({ compat, ...options }: ScheduleOptions) {
    this.options = withDefaults('DivisionSchedule', scheduleOptions, options);
    const { numLearners, modEpoch, modEpochFreeze, forceFullEmbeddingEpoch } = this.options;
    this.fullEmbeddingFrom = forceFullEmbeddingEpoch ?? Number.POSITIVE_INFINITY;
    this.asDcesml = compat === 'dcesml';
    if (!Number.isInteger(Math.log2(numLearners))) {
      const below = 2 ** Math.floor(Math.log2(numLearners));
      throw new OptionError(
        'divide.numLearners',
        `expected a power of two, because learners double, got ${numLearners}; use ${below} or ${below * 2}`,
      );
    }
    if (modEpochFreeze >= modEpoch) {
      throw new OptionError(
        'divide.modEpochFreeze',
        `expected 0 to ${modEpoch - 1}, fewer than the ${modEpoch} epochs between redivisions, got ${modEpochFreeze}`,
      );
    }
  }

  /** @param epoch counted from 0 */
  at(epoch: number): ScheduledEpoch {
    const { modEpoch, modEpochFreeze, divideFrom } = this.options;
    const fullEmbedding = epoch >= this.fullEmbeddingFrom;
    const dividing = !fullEmbedding || this.asDcesml;
    const lastDivided = dividing ? epoch : this.fullEmbeddingFrom - 1;
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
