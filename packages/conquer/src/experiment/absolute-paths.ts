import { resolve } from 'node:path';
import { valueAt } from '@conquer-dml/run';
import { weightWords } from '../models/weights/weight-words.js';
import type { ExperimentInput } from './experiment.js';
import { atPath, mergeExperiments } from './merge.js';

/** Paths in an experiment, and words that may stand in their places. */
const places: Record<string, readonly string[]> = {
  'data.dataset.folder': [],
  'data.dataset.file': [],
  'data.dataset.split': ['half', 'random'],
  'data.exclude': [],
  'model.weights': weightWords,
};

/** Those of one experiment, with their values. The images of a data set of one's own are listed by the run. */
export const placesIn = (experiment: ExperimentInput) =>
  Object.entries(places).flatMap(([path, words]) => {
    const isOwn = path.startsWith('data.') && valueAt(experiment, 'data.dataset.own') !== undefined;
    const value = isOwn ? null : valueAt(experiment, path);
    return typeof value === 'string' && !words.includes(value) ? [{ path, value }] : [];
  });

/** As config.json keeps it: it is read from other working folders too. */
export function withAbsolutePaths(experiment: ExperimentInput): ExperimentInput {
  return mergeExperiments(
    experiment,
    ...placesIn(experiment).map(({ path, value }) => atPath(path, resolve(value)) as ExperimentInput),
  );
}
