import { existsSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { RunFolder, UserError, valueAt } from '@conquer-dml/run';
import type { Experiment, ExperimentInput, Parts } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { OptionError } from '../option-error.js';
import { fillExperiment, inFlags } from './fill.js';
import { type Flag, flagsOf } from './flags.js';

/** Paths in an experiment, and words that may stand in their places. */
const places: Record<string, readonly string[]> = {
  'data.dataset.folder': [],
  'data.dataset.file': [],
  'data.dataset.split': ['half', 'random'],
  'model.weights': ['imagenet'],
};

// The images of a data set of one's own are listed by the run.
const placesIn = (experiment: ExperimentInput) =>
  Object.entries(places).flatMap(([path, words]) => {
    const isOwn = path.startsWith('data.') && valueAt(experiment, 'data.dataset.own') !== undefined;
    const value = isOwn ? null : valueAt(experiment, path);
    return typeof value === 'string' && !words.includes(value) ? [{ path, value }] : [];
  });

const nested = (path: string, value: unknown) =>
  path
    .split('.')
    .reverse()
    .reduce<unknown>((inner, key) => ({ [key]: inner }), value) as ExperimentInput;

/** As config.json keeps it: it is read from other working folders too. */
export function withAbsolutePaths(experiment: ExperimentInput): ExperimentInput {
  return mergeExperiments(
    experiment,
    ...placesIn(experiment).map(({ path, value }) => nested(path, resolve(value))),
  );
}

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
