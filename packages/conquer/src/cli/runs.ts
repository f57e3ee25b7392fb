import { readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../error.js';
import { type BestEpoch, RunFolder, scoreOf } from '../train/run-folder.js';

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

/**
 * The run folders that are meant by paths: runs themselves, and the runs directly inside other folders, by name.
 *
 * @throws UserError for a path that holds no run
 */
export function findRuns(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    if (RunFolder.exists(path)) return [path];
    const inside = isFolder(path)
      ? readdirSync(path)
          .sort()
          .map((name) => join(path, name))
          .filter((inner) => RunFolder.exists(inner))
      : [];
    if (inside.length > 0) return inside;
    throw new UserError(
      `there is no run in ${path}: expected a run folder with a config.json, or a folder of such folders`,
    );
  });
}

export function readRun(path: string): RunState {
  const folder = RunFolder.open(path);
  const trained = folder.epochs().filter((record) => record.epoch >= 0);
  let best: BestEpoch | null = null;
  for (const { epoch, metrics, validation } of trained) {
    const epochBest = metrics && { epoch, metrics, ...(validation && { validation }) };
    if (epochBest && (best === null || scoreOf(epochBest) > scoreOf(best))) best = epochBest;
  }
  const of = Number(folder.settings().epochs);
  const ended = folder.summary()?.status ?? 'cut off';
  const whole = trained.length >= of ? 'finished' : ended === 'finished' ? 'cut off' : ended;
  return { run: path, status: folder.runningProcess() ? 'running' : whole, epochs: trained.length, of, best };
}

export interface ListOptions {
  /** Keep the runs whose path holds this text, or matches it as a pattern with `*`. */
  filter?: string;
  /** 'name', 'epochs', or a metric such as 'R@1' (highest first). */
  sort?: string;
}

/** The runs of some folders, filtered and sorted; by R@1 unless told otherwise. */
export function listRuns(paths: readonly string[], { filter, sort = 'R@1' }: ListOptions = {}): RunState[] {
  const pattern = filter === undefined ? null : patternOf(filter);
  const states = findRuns(paths)
    .filter((path) => pattern?.test(path) ?? true)
    .map(readRun);
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
