import { type RunFolder, valueAt } from '@conquer-dml/run';
import type { Split } from '../datasets/dataset.js';
import { type SettledDivision, usualDivision, usualDivisionInWords } from '../divide/usual-division.js';
import type { Experiment } from './experiment.js';

/** An experiment of which nothing is left open. */
export interface Settled {
  experiment: Experiment;
  /** What was chosen and why, in a line; null where nothing was. */
  why: string | null;
}

/**
 * Settles what an experiment leaves open until the data are known: how many learners there are, and from when on.
 *
 * @param resumed the run that goes on, which has settled it
 */
export function settleDivision(experiment: Experiment, train: Split, resumed: RunFolder | null): Settled {
  const { divide, train: training } = experiment;
  const before = resumed && divisionOf(resumed);
  if (before) return { experiment: withDivision(experiment, before), why: null };
  const ground = { classes: train.pairs ? null : train.classNames.length, epochs: training.epochs };
  const usual = usualDivision(divide, ground);
  return {
    experiment: withDivision(experiment, usual),
    why: usualDivisionInWords(divide, usual, ground),
  };
}

/** The experiment with these in the place of what it leaves open. */
export function withDivision(experiment: Experiment, usual: SettledDivision): Experiment {
  const { divide } = experiment;
  const { numLearners, divideFrom } = divide;
  return {
    ...experiment,
    divide: {
      ...divide,
      numLearners: numLearners ?? usual.numLearners,
      divideFrom: divideFrom ?? usual.divideFrom,
    },
  };
}

function divisionOf(run: RunFolder): SettledDivision | null {
  const [numLearners, divideFrom] = ['numLearners', 'divideFrom'].map((name) =>
    valueAt(run.experiment(), `divide.${name}`),
  );
  return typeof numLearners === 'number' && typeof divideFrom === 'number'
    ? { numLearners, divideFrom }
    : null;
}
