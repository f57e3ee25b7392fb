import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder, type Summary, UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, expect, it } from 'vitest';
import { findRun, findRuns, howToGoOn, listRuns, readRun } from './runs.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function makeRun(name: string, scores: number[], epochs: number, status?: Summary['status']): RunFolder {
  const run = RunFolder.create(join(folder, name), { train: { epochs } });
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
  expect(
    listRuns([folder], { sort: 'name' }).runs.map((r) => [r.status, r.epochs, r.of, r.best?.epoch]),
  ).toEqual([
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
    listRuns([folder], options).runs.map(({ run }) => run.slice(folder.length + 1));
  expect(names({})).toEqual(['emoji-four', 'photos', 'emoji-one']);
  expect(names({ sort: 'MAP@R' })).toEqual(['emoji-one', 'photos', 'emoji-four']);
  expect(names({ filter: 'emoji' })).toEqual(['emoji-four', 'emoji-one']);
  expect(names({ filter: '*/p*s' })).toEqual(['photos']);
  expect(() => names({ sort: 'R@9' })).toThrow('expected name, epochs or one of R@1, MAP@R');
});

it('takes runs and folders of runs, and says where there is none', () => {
  makeRun('a', [], 1);
  expect(findRuns([join(folder, 'a')])).toEqual([{ run: join(folder, 'a'), named: true }]);
  expect(findRuns([folder])).toEqual([{ run: join(folder, 'a'), named: false }]);
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

it.each([
  ['config.json', '', /config\.json is damaged or cannot be read/],
  ['config.json', 'null', /config\.json is damaged: expected an object, got null/],
  ['config.json', '[]', /config\.json is damaged: expected an object/],
  ['config.json', '{}', /config\.json is damaged: expected the settings of the run, got none/],
  ['config.json', '{"format": 3}', /config\.json is damaged: expected a number of epochs, got null/],
  [
    'config.json',
    '{"format": 4, "train": {"epochs": 1}}',
    /config\.json has the format 4, of a newer version/,
  ],
  [
    'config.json',
    '{"format": 3, "train": {"epochs": {}}}',
    /config\.json is damaged: expected a number of epochs/,
  ],
  ['metrics.jsonl', 'null\n{"epoch": 0}\n', /metrics\.jsonl is damaged in line 1/],
  [
    'metrics.jsonl',
    '{"epoch": 0}\n{"epoch": 1, "metrics": {"R@1": NaN}}\n{"epoch": 2}\n',
    /damaged in line 2/,
  ],
  ['metrics.jsonl', '{"epoch": 0, "metrics": 7}\n', /damaged in line 1/],
  ['metrics.jsonl', '7\n', /damaged in line 1/],
  ['summary.json', 'null', /summary\.json is damaged/],
])('a run with a damaged %s (%j) does not hide the others', (file, text, problem) => {
  makeRun('sound', [0.2], 1);
  writeFileSync(join(makeRun('damaged', [0.3], 1).path, file), text);
  const { runs, damaged } = listRuns([folder]);
  expect(runs.map(({ run }) => run)).toEqual([join(folder, 'sound')]);
  expect(damaged).toEqual([
    { run: join(folder, 'damaged'), status: 'damaged', problem: expect.stringMatching(problem) },
  ]);
  expect(() => listRuns([join(folder, 'damaged')])).toThrow(UserError);
  expect(() => listRuns([join(folder, 'damaged')])).toThrow(problem);
});

it('says how to go on with runs that are not whole', () => {
  const stopped = makeRun('b', [0.3], 4, 'stopped').path;
  makeRun('a', [0.2], 1, 'finished');
  const state = listRuns([folder]).runs;
  expect(howToGoOn(state)).toBe(`go on with it: npx conquer train --resume ${stopped}\n`);
  const config = join(stopped, 'config.json');
  writeFileSync(config, '{"format": 3, "data": {"dataset": {"own": "birds", "folder": null}}}');
  expect(howToGoOn(state)).toBe(`go on with ${stopped}: call train() once more, with resume: true\n`);
});

it('finds a run by its name in the usual folder, unless there is one here', () => {
  makeRun('runs/mine', [], 1);
  makeRun('here', [], 1);
  mkdirSync(join(folder, 'mine')); // photographs, not runs
  const before = process.cwd();
  process.chdir(folder);
  try {
    expect(findRun('mine')).toBe('runs/mine');
    expect(findRuns(['mine'])).toEqual([{ run: 'runs/mine', named: true }]);
    expect(findRun('here')).toBe('here');
    expect(findRun('gone')).toBe('gone');
    process.chdir('here');
    expect(findRun('.')).toBe(process.cwd());
  } finally {
    process.chdir(before);
  }
});

it('takes neither an exported model nor the map of an index for a run', () => {
  makeRun('a', [0.2], 1, 'finished');
  for (const [name, config] of [
    ['onnx', { model_type: 'resnet', architectures: ['ResNetModel'] }],
    ['timm', { architecture: 'resnet18' }],
  ] as const) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'config.json'), JSON.stringify(config));
    expect(() => RunFolder.open(join(folder, name))).toThrow(/^there is no run in/);
  }
  const index = join(folder, 'photos.index');
  RunFolder.create(join(index, 'map'), { index: {} });
  writeFileSync(join(index, 'manifest.json'), '{}');
  expect(findRuns([folder]).map(({ run }) => run)).toEqual([join(folder, 'a')]);
  expect(() => findRuns([index])).toThrow(/^there is no run in/);
});
