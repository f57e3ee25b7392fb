import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { RunFolder, UserError, valueAt } from '@conquer-dml/run';
import { placesIn, withAbsolutePaths } from '../experiment/absolute-paths.js';
import type { Experiment, ExperimentInput, Parts } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { OptionError } from '../option-error.js';
import { fillExperiment, inFlags } from './fill.js';
import { type Flag, flagsOf } from './flags.js';

/**
 * The experiment of a run.
 *
 * @param given flags in the place of its own
 * @param note told where a path was taken to lead that older runs keep relative to wherever they were started
 * @throws UserError for a run whose settings are damaged, or a path that leads nowhere
 */
export function storedExperiment(
  path: string,
  given: Readonly<Record<string, string>>,
  parts: Parts,
  note: (text: string) => void,
): Experiment {
  const run = RunFolder.open(path);
  const flags = flagsOf(parts);
  const stored = run.experiment() as ExperimentInput;
  const filled = fillExperiment(stored, given, flags, (message) => {
    throw new UserError(message);
  });
  for (const { path: place, value } of placesIn(filled)) {
    if (place === 'model.weights' || valueAt(stored, place) !== value) continue;
    const absolute = resolve(value);
    const flag = nameOf(place, flags);
    if (!existsSync(absolute)) {
      const relative = isAbsolute(value) ? '' : ', relative to a folder that it did not record';
      throw new UserError(
        `${path} was started with ${flag} ${value}${relative}, and ${absolute} is not there: give ${flag} with the path that it has now`,
      );
    }
    if (!isAbsolute(value)) note(`${flag} ${value}, as ${path} was started with, is taken to be ${absolute}`);
  }
  try {
    return resolveExperiment(withAbsolutePaths(filled), parts);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const { message } = inFlags(error, flags);
    throw new UserError(`${run.configFile}: ${message}`, { cause: error });
  }
}

const nameOf = (path: string, flags: readonly Flag[]) => {
  const flag = flags.find(({ targets }) =>
    targets.some((target) => `${target.path}.${target.option}` === path || target.path === path),
  );
  return flag ? `--${flag.name}` : path;
};

/**
 * Whether decoded images are kept where this was asked for. It changes nothing of what the network sees: where they
 * are not reduced, as without a cache from the start, there is nothing to keep.
 */
export function cachedOf({ data }: Experiment, cache: string, note: (text: string) => void): boolean {
  if (cache !== 'yes' && cache !== 'no')
    throw new UserError(`--cache: expected one of yes, no, got ${JSON.stringify(cache)}`);
  if (cache === 'yes' && !data.cache)
    note(
      '--cache yes has no effect: the run was trained on images as their files hold them, not reduced to --resize',
    );
  return cache === 'yes';
}
