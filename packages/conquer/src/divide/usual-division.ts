import { UserError } from '@conquer-dml/run';
import { scheduleOptions } from './schedule.js';

/**
 * Classes from which on several learners are the usual: they pay where a batch has few of the classes that train, one in ten and fewer, as a
 * learner's batch then has classes that look alike; with fewer classes they cost (docs/board.md, which has batches of 32 classes).
 */
export const DIVIDED_FROM = 640;
/** As many as were measured where classes are many. */
const LEARNERS = 4;
/** Of the epochs, which one learner trains first: from a weak start division costs, however many classes there are (docs/results.md). */
const START = { share: 0.4, inWords: 'two fifths' };

/** Whether several learners are worth trying of so many classes. */
export const divisionPays = (classes: number): boolean => classes >= DIVIDED_FROM;

/** As an experiment has it, which may leave open how many learners there are, and from when on. */
export const openScheduleOptions = scheduleOptions.extend({
  numLearners: scheduleOptions.shape.numLearners
    .nullable()
    .default(null)
    .describe(
      `${scheduleOptions.shape.numLearners.description}; null: ${LEARNERS} where ${DIVIDED_FROM} classes or more train, else 1`,
    ),
  divideFrom: scheduleOptions.shape.divideFrom
    .unwrap()
    .nullable()
    .default(null)
    .describe(
      `${scheduleOptions.shape.divideFrom.description}; null: with several learners ${START.inWords} of those before the whole embedding trains, else 0`,
    ),
});

interface OpenDivision {
  numLearners: number | null;
  divideFrom: number | null;
}

/** What is known once nothing of it is open. */
export interface SettledDivision {
  numLearners: number;
  divideFrom: number;
}

/** What division goes by where nothing is said. */
export interface DivisionGround {
  /** That train; null: what is the same is known by pairs, of which nobody has measured what division brings. */
  classes: number | null;
  epochs: number;
}

/** How a training divides that leaves open how: by the evidence there is (docs/board.md). */
export function usualDivision(
  divide: OpenDivision & { forceFullEmbeddingEpoch: number | null },
  { classes, epochs }: DivisionGround,
): SettledDivision {
  const numLearners = divide.numLearners ?? (divisionPays(classes ?? 0) ? LEARNERS : 1);
  const masked = Math.min(epochs, divide.forceFullEmbeddingEpoch ?? epochs);
  const divideFrom = divide.divideFrom ?? (numLearners === 1 ? 0 : Math.round(START.share * masked));
  return { numLearners, divideFrom };
}

/** What was chosen where something was open, and why; null where nothing was. */
export function usualDivisionInWords(
  open: OpenDivision,
  { numLearners, divideFrom }: SettledDivision,
  { classes, epochs }: DivisionGround,
): string | null {
  const start = `one learner for ${divideFrom} of ${epochs} epochs`;
  const learners = divideFrom === 0 ? `${numLearners} learners` : `${start}, then up to ${numLearners}`;
  if (open.numLearners === null) {
    if (classes === null)
      return `one learner: pairs train, of which it is not known what division brings; divide.numLearners ${LEARNERS} divides all the same`;
    const why = `${classes} classes train, division pays from ${DIVIDED_FROM} on (docs/board.md)`;
    return numLearners === 1
      ? `one learner: ${why}; divide.numLearners ${LEARNERS} divides all the same`
      : `${learners}: ${why}; divide.numLearners 1 does not divide`;
  }
  if (open.divideFrom !== null || divideFrom === 0) return null;
  return `${learners}: division pays from a well-trained start (docs/board.md); divide.divideFrom 0 divides from the first on`;
}

/** @throws UserError where something is still open, of which nothing can be built */
export function settled({ numLearners, divideFrom }: OpenDivision): SettledDivision {
  if (numLearners === 1) return { numLearners, divideFrom: divideFrom ?? 0 };
  if (numLearners !== null && divideFrom !== null) return { numLearners, divideFrom };
  throw new UserError(
    `expected numbers of divide.numLearners and divide.divideFrom, got ${numLearners} and ${divideFrom}: training settles them by the data, and a run keeps them in its config.json`,
  );
}
