import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RunFolder, type Summary } from '../train/run-folder.js';
import { findRuns, listRuns, readRun } from './runs.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-runs-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function makeRun(name: string, scores: number[], epochs: number, status?: Summary['status']): RunFolder {
  const run = RunFolder.create(join(folder, name), { epochs });
  for (const [i, score] of [0, ...scores].entries()) {
    run.appendEpoch({
      epoch: i - 1,
      metrics: { 'R@1': score, 'MAP@R': 1 - score },
      seconds: { evaluate: 0 },
    });
  }
  if (status) writeFileSync(run.summaryFile, JSON.stringify({ status }));
  return run;
}

it('tells status, progress and the best epoch from the files', () => {
  makeRun('a', [0.2, 0.5, 0.4], 3, 'finished');
  makeRun('b', [0.3], 4, 'stopped');
  makeRun('c', [], 4);
  const taken = makeRun('d', [0.1], 4);
  const unlock = taken.lock();
  expect(listRuns([folder], { sort: 'name' }).map((r) => [r.status, r.epochs, r.of, r.best?.epoch])).toEqual([
    ['finished', 3, 3, 1],
    ['stopped', 1, 4, 0],
    ['cut off', 0, 4, undefined],
    ['running', 1, 4, 0],
  ]);
  unlock();
  expect(readRun(join(folder, 'd')).status).toBe('cut off');
});

it('sorts and filters', () => {
  makeRun('emoji-one', [0.2], 1);
  makeRun('emoji-four', [0.4], 1);
  makeRun('photos', [0.3], 1);
  const names = (options: Parameters<typeof listRuns>[1]) =>
    listRuns([folder], options).map(({ run }) => run.slice(folder.length + 1));
  expect(names({})).toEqual(['emoji-four', 'photos', 'emoji-one']);
  expect(names({ sort: 'MAP@R' })).toEqual(['emoji-one', 'photos', 'emoji-four']);
  expect(names({ filter: 'emoji' })).toEqual(['emoji-four', 'emoji-one']);
  expect(names({ filter: '*/p*s' })).toEqual(['photos']);
  expect(() => names({ sort: 'R@9' })).toThrow('expected name, epochs or one of R@1, MAP@R');
});

it('takes runs and folders of runs, and says where there is none', () => {
  makeRun('a', [], 1);
  expect(findRuns([join(folder, 'a')])).toEqual([join(folder, 'a')]);
  expect(findRuns([folder])).toEqual([join(folder, 'a')]);
  expect(() => findRuns([join(folder, 'nothing')])).toThrow(/there is no run in .*nothing/);
});

it('refuses a run that another process has, and takes over from a dead one', () => {
  const run = makeRun('a', [], 1);
  const lock = join(run.path, 'running.json');
  writeFileSync(lock, JSON.stringify({ pid: 1, since: '2026-01-01T00:00:00Z' }));
  expect(() => run.lock()).toThrow(/trained by process 1 since 2026-01-01T00:00:00Z/);
  writeFileSync(lock, JSON.stringify({ pid: 2 ** 30, since: 'x' }));
  run.lock()();
  expect(run.runningProcess()).toBeNull();
});
