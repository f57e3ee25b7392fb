import { UserError } from '@conquer-dml/run';
import { settled } from '../divide/usual-division.js';
import type { Experiment, Parts } from '../experiment/experiment.js';
import { withEpochs } from '../optimize/more-epochs.js';
import { flagsOf } from './flags.js';
import { cachedOf, storedExperiment } from './stored.js';

/** Flags of a run that goes on, or is evaluated: where its data are now, and what this machine is like. */
export const movable = ['dataset-dir', 'device', 'precision', 'threads', 'on-bad-image'] as const;

/** What may differ in a run that goes on: how long it is, where it goes on, and who follows it. */
const mayChange = (parts: Parts): string[] => {
  const trackers = flagsOf(parts).filter(({ targets }) => targets.some(({ path }) => path === 'track'));
  return ['epochs', 'lr-after', ...movable, 'cache', 'split', 'on-nan', ...trackers.map(({ name }) => name)];
};

/** A run to go on with. */
export interface Resumption {
  experiment: Experiment;
  cached?: boolean | undefined;
}

/**
 * What to go on with, of a run and what was given with `--resume`.
 *
 * @param note told what will be other than it was, in a line each
 * @throws UserError for what may not change, or a course of the learning rates that nobody has chosen
 */
export function resumption(
  path: string,
  given: Readonly<Record<string, string>>,
  parts: Parts,
  note: (text: string) => void,
): Resumption {
  const allowed = mayChange(parts);
  const changed = Object.keys(given).filter((name) => !allowed.includes(name));
  if (changed.length > 0) {
    throw new UserError(
      `--resume goes on with the run's own settings: leave out --${changed.join(', --')} (only --${allowed.join(', --')} may change)`,
    );
  }
  // The schedule and what the network sees of an image are the run's.
  const { epochs, 'lr-after': after, cache, ...others } = given;
  const before = storedExperiment(path, others, parts, note);
  const asked = storedExperiment(
    path,
    {
      ...others,
      ...(epochs !== undefined && { epochs }),
      ...(after !== undefined && { 'lr-after': after }),
    },
    parts,
    () => {},
  );
  const { optimize, divide, train } = before;
  const rates = withEpochs(
    {
      ...optimize,
      learningRate: optimize.learningRate!,
      epochs: train.epochs,
      divideFrom: settled(divide).divideFrom,
    },
    asked.train.epochs,
    after === undefined ? null : asked.optimize.afterEnd,
    note,
  );
  return {
    experiment: {
      ...before,
      optimize: { ...optimize, courses: rates.courses, afterEnd: rates.afterEnd },
      train: { ...train, epochs: rates.epochs },
    },
    cached: cache === undefined ? undefined : cachedOf(before, cache, note),
  };
}
