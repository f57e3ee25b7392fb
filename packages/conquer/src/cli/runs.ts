import { readdirSync, type Stats, statSync } from 'node:fs';
import { basename, isAbsolute, join, resolve } from 'node:path';
import {
  type BestEpoch,
  bestEpoch,
  choosingMetricOf,
  IndexFolder,
  RunFolder,
  UserError,
} from '@conquer-dml/run';

/** A run as it stands, read from its folder's files only. */
export interface RunState {
  run: string;
  /** 'cut off': its process is gone without having ended it. */
  status: 'running' | 'finished' | 'stopped' | 'cut off';
  /** Epochs trained, of so many. */
  epochs: number;
  of: number;
  /** Epochs count from 0. */
  best: BestEpoch | null;
  /** The metric by which it is. */
  bestBy: string;
}

function isFolder(path: string): boolean {
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch {
    return false;
  }
  return stats.isDirectory();
}

/** Where runs are kept unless `--runs-dir` says otherwise. */
const USUAL = 'runs';

/**
 * The folder of a run: a path, or the name of one in `runs`. One in the working folder comes first.
 *
 * @returns the path as it was given where it is no run
 */
export function findRun(path: string): string {
  // A name, `.` and the like: a run's name is the last part of its path.
  const named = ['.', '..'].includes(basename(path)) ? resolve(path) : path;
  if (RunFolder.exists(named) || isAbsolute(named)) return named;
  const usual = join(USUAL, named);
  return RunFolder.exists(usual) ? usual : named;
}

/** A run that was found, and whether it was the one asked for; else it was in a folder of runs. */
export interface FoundRun {
  run: string;
  named: boolean;
}

/**
 * The run folders that are meant by paths: runs themselves, and the runs directly inside other folders, by name.
 *
 * @throws UserError for a path that holds no run
 */
export function findRuns(paths: readonly string[]): FoundRun[] {
  return paths.flatMap((path) => {
    if (RunFolder.exists(path)) return [{ run: path, named: true }];
    // What lies in an index shows its rows to the dashboard, and is no run.
    const inside =
      isFolder(path) && !new IndexFolder(path).exists()
        ? readdirSync(path)
            .sort()
            .map((name) => join(path, name))
            .filter((inner) => RunFolder.exists(inner))
            .map((run) => ({ run, named: false }))
        : [];
    if (inside.length > 0) return inside;
    const usual = findRun(path);
    if (RunFolder.exists(usual)) return [{ run: usual, named: true }];
    throw new UserError(
      `there is no run in ${path}: expected a run folder with a config.json, or a folder of such folders`,
    );
  });
}

/** @throws UserError for a run whose files are damaged, naming the first */
export function readRun(path: string): RunState {
  const folder = RunFolder.open(path);
  const trained = folder.epochs().filter((record) => record.epoch >= 0);
  const settings = folder.settings();
  const bestBy = choosingMetricOf(settings);
  const best = bestEpoch(trained, bestBy);
  const of = settings['train.epochs'];
  if (typeof of !== 'number')
    throw new UserError(
      `${folder.configFile} is damaged: expected a number of epochs, got ${JSON.stringify(of ?? null)}`,
    );
  const ended = folder.summary()?.status ?? 'cut off';
  const whole = trained.length >= of ? 'finished' : ended === 'finished' ? 'cut off' : ended;
  return {
    run: path,
    status: folder.runningProcess() ? 'running' : whole,
    epochs: trained.length,
    of,
    best,
    bestBy,
  };
}

export interface ListOptions {
  /** Keep the runs whose path holds this text, or matches it as a pattern with `*`. */
  filter?: string;
  /** 'name', 'epochs', or a metric such as 'R@1' (highest first). */
  sort?: string;
}

/** A run that cannot be read, and why. */
export interface DamagedRun {
  run: string;
  status: 'damaged';
  problem: string;
}

/** Runs, and those among them that cannot be read. */
export interface RunList {
  runs: RunState[];
  damaged: DamagedRun[];
}

/**
 * The runs of some folders, filtered and sorted; by R@1 unless told otherwise. One of a folder that is damaged does not
 * hide the others.
 *
 * @throws UserError for a path without a run, a damaged run that was named itself, or an unknown order
 */
export function listRuns(paths: readonly string[], { filter, sort = 'R@1' }: ListOptions = {}): RunList {
  const pattern = filter === undefined ? null : patternOf(filter);
  const damaged: DamagedRun[] = [];
  const states = findRuns(paths)
    .filter(({ run }) => pattern?.test(run) ?? true)
    .flatMap(({ run, named }) => {
      try {
        return [readRun(run)];
      } catch (error) {
        if (named || !(error instanceof UserError)) throw error;
        damaged.push({ run, status: 'damaged', problem: error.message });
        return [];
      }
    });
  return { runs: sorted(states, sort), damaged };
}

/** How to go on with runs that have not trained all their epochs, a line each, of three at most. */
export function howToGoOn(states: readonly RunState[]): string {
  const unfinished = states.filter(({ status }) => status === 'stopped' || status === 'cut off');
  const lines = unfinished
    .slice(0, 3)
    .map(({ run }) =>
      'data.dataset.own' in RunFolder.open(run).settings()
        ? `go on with ${run}: call train() once more, with resume: true\n`
        : `go on with it: npx conquer train --resume ${run}\n`,
    );
  return lines.join('');
}

function sorted(states: RunState[], sort: string): RunState[] {
  if (sort === 'name') return states.sort((a, b) => a.run.localeCompare(b.run));
  if (sort === 'epochs') return states.sort((a, b) => b.epochs - a.epochs);
  const known = new Set(states.flatMap(({ best }) => Object.keys(best?.metrics ?? {})));
  if (known.size > 0 && !known.has(sort)) {
    throw new UserError(`--sort: expected name, epochs or one of ${[...known].join(', ')}, got '${sort}'`);
  }
  const score = ({ best }: RunState) => best?.metrics[sort] ?? -1;
  return states.sort((a, b) => score(b) - score(a));
}

function patternOf(text: string): RegExp {
  const escaped = text.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(text.includes('*') ? `^${escaped.join('.*')}$` : escaped.join('.*'));
}
