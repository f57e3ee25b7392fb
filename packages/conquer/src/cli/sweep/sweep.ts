import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  type BestEpoch,
  bestEpoch,
  choosingMetricOf,
  RunFolder,
  scoreOf,
  UserError,
  writeFileAtomic,
} from '@conquer-dml/run';
import { withAbsolutePaths } from '../../experiment/absolute-paths.js';
import type { Experiment, ExperimentInput, Parts } from '../../experiment/experiment.js';
import { atPath, mergeExperiments } from '../../experiment/merge.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { readRun } from '../runs.js';
import { halvingRounds, type Round } from './rounds.js';
import { runTrial } from './run-trial.js';
import { drawnFrom, gridOf, type Point, type SearchSpace } from './search-space.js';

export interface SweepRequest {
  base: ExperimentInput;
  space: SearchSpace;
  method: 'grid' | 'random' | 'halving';
  /** How many points are drawn; a grid has its own. */
  trials: number;
  /** Of the drawing. */
  seed: number;
  /** Of a round of halving one in so many goes on. */
  factor: number;
  /** Processes at a time. */
  parallel: number;
  /** For sweep.json, the trials' experiments and their runs. */
  folder: string;
  parts: Parts;
  plugins: readonly string[];
  signal: AbortSignal;
  /** Told of each trial that is begun or gone on with, and of what went wrong with one. */
  onTrial: (name: string, problem: string | null) => void;
}

/** A point of the space, and its run. */
export interface Trial {
  name: string;
  point: Point;
  /** Epochs trained, of so many. */
  epochs: number;
  of: number;
  best: BestEpoch | null;
  /** What the best epoch is best by, of the validation classes where there are some; −1: nothing was measured. */
  score: number;
  /** Why it ended; null: it did not fail. */
  problem: string | null;
}

/**
 * Trains the points of a space, each as a run of its own in the folder. The same request goes on where an earlier one was ended.
 *
 * @returns the trials, the best first
 * @throws UserError for a point that is no experiment, before anything is trained, and for a folder that holds another sweep
 */
export async function sweep(request: SweepRequest): Promise<Trial[]> {
  const { space, method, trials, seed, factor, folder, signal } = request;
  const points = method === 'grid' ? gridOf(space) : drawnFrom(space, trials, seed);
  const experiments = points.map((point) => experimentAt(request, point));
  begin(folder, {
    // As W&B has them; the rest is ours.
    method: method === 'halving' ? 'random' : method,
    metric: { name: experiments[0]!.evaluate.bestBy, goal: 'maximize' },
    parameters: space,
    conquer: {
      method,
      ...(method !== 'grid' && { trials, seed }),
      ...(method === 'halving' && { factor }),
      base: request.base,
    },
  });
  const running = points.map((point, place) => ({
    name: nameOf(point, place),
    point,
    experiment: experiments[place]!,
  }));
  for (const { name, experiment } of running) keepExperiment(request, name, experiment);
  const problems = new Map<string, string>();
  const rounds: Round[] =
    method === 'halving'
      ? halvingRounds(points.length, Math.min(...experiments.map(({ train }) => train.epochs)), factor)
      : [{ trials: points.length, epochs: Number.POSITIVE_INFINITY }];
  let going = running.map(({ name }) => name);
  for (const [round, { trials: count, epochs }] of rounds.entries()) {
    // By what the rounds before have seen, so that a sweep that goes on chooses the same again.
    const seen = rounds[round - 1]?.epochs;
    if (seen !== undefined) going = bestOf(request, going, seen).slice(0, count);
    const isLast = round === rounds.length - 1;
    await inParallel(request.parallel, going, async (name) => {
      if (signal.aborted) return;
      const { train } = running.find((trial) => trial.name === name)!.experiment;
      const until = isLast ? Number.POSITIVE_INFINITY : epochs;
      if (trainedEpochs(folder, name) >= Math.min(until, train.epochs)) return;
      const problem = await runNamed(request, name, until);
      if (problem !== null) problems.set(name, problem);
    });
    if (signal.aborted) break;
  }
  return running
    .map((trial) => trialAt(request, { ...trial, problems }))
    .sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
}

/** @throws UserError naming the point */
function experimentAt({ base, parts, parallel }: SweepRequest, point: Point): Experiment {
  const layers = Object.entries(point).map(([path, value]) => atPath(path, value) as ExperimentInput);
  try {
    const experiment = resolveExperiment(withAbsolutePaths(mergeExperiments(base, ...layers)), parts);
    const { train } = experiment;
    // Each of several processes gets its part of the cores.
    if (parallel === 1 || train.threads != null) return experiment;
    const threads = Math.max(1, Math.floor(availableParallelism() / parallel));
    return { ...experiment, train: { ...train, threads } };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new UserError(`${pointText(point)}: ${error.message}`);
  }
}

/** Writes sweep.json, or sees that it is this one. */
function begin(folder: string, sweep: object): void {
  const file = join(folder, 'sweep.json');
  if (existsSync(file)) {
    let there: unknown = null;
    try {
      there = JSON.parse(readFileSync(file, 'utf8'));
    } catch {
      // It is another file, or damaged.
    }
    if (!isDeepStrictEqual(there, JSON.parse(JSON.stringify(sweep))))
      throw new UserError(
        `${folder} holds another sweep: give the same recipe and fields to go on with it, or another folder`,
      );
    return;
  }
  mkdirSync(folder, { recursive: true });
  writeFileAtomic(file, `${JSON.stringify(sweep, null, 2)}\n`);
}

const experimentFileOf = (folder: string, name: string) => join(folder, 'trials', `${name}.json`);

function keepExperiment({ folder }: SweepRequest, name: string, experiment: Experiment): void {
  mkdirSync(join(folder, 'trials'), { recursive: true });
  writeFileAtomic(experimentFileOf(folder, name), `${JSON.stringify(experiment, null, 2)}\n`);
}

async function runNamed(request: SweepRequest, name: string, epochs: number): Promise<string | null> {
  const { folder, plugins, signal, onTrial } = request;
  onTrial(name, null);
  const problem = await runTrial({
    file: experimentFileOf(folder, name),
    folder,
    name,
    epochs,
    plugins,
    signal,
  });
  if (problem !== null) onTrial(name, problem);
  return problem;
}

function trainedEpochs(folder: string, name: string): number {
  const path = join(folder, name);
  return RunFolder.exists(path) ? readRun(path).epochs : 0;
}

async function inParallel<T>(
  count: number,
  list: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...list];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: count }, worker));
}

/** Names by what their runs have reached within so many epochs, the best first. */
function bestOf({ folder }: SweepRequest, names: readonly string[], epochs: number): string[] {
  const scores = new Map(names.map((name) => [name, scoreAt(join(folder, name), epochs).score] as const));
  return [...names].sort((a, b) => scores.get(b)! - scores.get(a)! || (a < b ? -1 : 1));
}

function scoreAt(path: string, epochs: number): { best: BestEpoch | null; score: number } {
  if (!RunFolder.exists(path)) return { best: null, score: -1 };
  const run = RunFolder.open(path);
  const by = choosingMetricOf(run.settings());
  const best = bestEpoch(
    run.epochs().filter(({ epoch }) => epoch < epochs),
    by,
  );
  return { best, score: best === null ? -1 : scoreOf(best, by) };
}

interface RunningTrial {
  name: string;
  point: Point;
  experiment: Experiment;
  problems: ReadonlyMap<string, string>;
}

function trialAt({ folder }: SweepRequest, { name, point, experiment, problems }: RunningTrial): Trial {
  const epochs = trainedEpochs(folder, name);
  const of = experiment.train.epochs;
  return { name, point, epochs, of, ...scoreAt(join(folder, name), of), problem: problems.get(name) ?? null };
}

/** `loss.margin 0.2, optimize.learningRate 0.0001` */
export const pointText = (point: Point): string =>
  Object.entries(point)
    .map(([path, value]) => `${path} ${valueText(value)}`)
    .join(', ');

const valueText = (value: unknown) =>
  typeof value === 'string'
    ? value
    : typeof value === 'number'
      ? String(Number(value.toPrecision(4)))
      : JSON.stringify(value);

/** A folder's name that says what the run is of. */
function nameOf(point: Point, place: number): string {
  const texts = Object.entries(point).map(([path, value]) => `${path.split('.').at(-1)}=${valueText(value)}`);
  const text = texts.join(',').replaceAll(/[^\w.=,+-]+/g, '_');
  return `${String(place + 1).padStart(3, '0')}-${text.slice(0, 80)}`;
}
