import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer, type ProgramOptions } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeAll, expect, it } from 'vitest';
import type { Trial } from './sweep/sweep.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeDiscs(folder);
  const recipe = {
    data: { dataset: { name: 'folder', folder: 'images' }, imageSize: 16, batchSize: 12 },
    model: { backbone: { name: 'small-resnet', widths: [16, 32] }, batchNorm: 'trained', embeddingDim: 16 },
    optimize: { learningRate: 1e-3 },
    train: { epochs: 4, threads: 1 },
  };
  writeFileSync(join(folder, 'discs.json'), JSON.stringify(recipe));
});

const sweep = (more: readonly string[], options: Partial<ProgramOptions> = {}) =>
  conquer(['sweep', 'discs.json', ...more], { folder, ...options });
const trialsIn = (stdout: string) =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Trial);

it('trains a grid, goes on where it was stopped, and lists the best first', async () => {
  const grid = ['--over', 'loss.margin=0.1,0.3', '--over', 'divide.numLearners=1,2', '--parallel', '2'];
  let sent = false;
  const stopped = await sweep(grid, {
    onOutput: (text, child) => {
      if (sent || !text.includes('training 003')) return;
      sent = true;
      child.kill('SIGINT');
    },
  });
  expect(stopped.code, stopped.stderr).toBe(130);
  expect(stopped.stderr).toContain('the same command goes on');
  const before = readdirSync(join(folder, 'sweeps/discs')).filter((name) => /^\d/.test(name));
  const logs = before.map((name) => readFileSync(join(folder, 'sweeps/discs', name, 'config.json'), 'utf8'));
  const ended = await sweep([...grid, '--json']);
  expect(ended.code, ended.stderr).toBe(0);
  const trials = trialsIn(ended.stdout);
  expect(trials.map(({ epochs, of, problem }) => [epochs, of, problem])).toEqual(Array(4).fill([4, 4, null]));
  expect(new Set(trials.map(({ point }) => JSON.stringify(point))).size).toBe(4);
  expect(trials.map(({ score }) => score)).toEqual(trials.map(({ score }) => score).sort((a, b) => b - a));
  for (const [at, name] of before.entries())
    expect(readFileSync(join(folder, 'sweeps/discs', name, 'config.json'), 'utf8')).toBe(logs[at]);
  const { best, name, point } = trials[0]!;
  const run = RunFolder.open(join(folder, 'sweeps/discs', name));
  expect(run.epochs().find(({ epoch }) => epoch === best!.epoch)?.metrics).toEqual(best!.metrics);
  expect(run.settings()).toMatchObject(point);
  expect(run.summary()?.status).toBe('finished');
  const kept = JSON.parse(readFileSync(join(folder, 'sweeps/discs/sweep.json'), 'utf8'));
  expect(kept).toMatchObject({
    method: 'grid',
    metric: { name: 'R@1', goal: 'maximize' },
    parameters: { 'loss.margin': { values: [0.1, 0.3] } },
  });
  // Nothing is left to do.
  const again = await sweep(grid);
  expect(again.stderr).not.toContain('training');
  expect(again.stdout).toMatch(/loss\.margin 0\.[13], divide\.numLearners [12] {2}4\/4/);
  const other = await sweep(['--over', 'loss.margin=0.5']);
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringMatching(/^conquer: .*discs holds another sweep: /),
  ]);
});

it('halves: the best go on with the schedule that they began with', async () => {
  const args = ['--over', 'optimize.learningRate=1e-4..1e-2:log', '--search', 'halving', '--trials', '4'];
  const more = ['--factor', '2', '--out', 'halved', '--json'];
  const ended = await sweep([...args, ...more]);
  expect(ended.code, ended.stderr).toBe(0);
  const trials = trialsIn(ended.stdout);
  expect(trials.map(({ epochs }) => epochs).sort()).toEqual([1, 1, 2, 4]);
  const whole = trials.find(({ epochs }) => epochs === 4)!;
  const alone = ['--over', `optimize.learningRate=${whole.point['optimize.learningRate']}`];
  const plain = trialsIn((await sweep([...alone, '--out', 'plain', '--json'])).stdout);
  expect(plain[0]!.best).toEqual(whole.best);
});

it('says in a line what is wrong, before anything is trained; one that fails does not end the others', async () => {
  const says = async (args: string[], line: RegExp) => {
    const { code, stderr } = await sweep([...args, '--out', 'wrong']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(line)]);
    expect(existsSync(join(folder, 'wrong'))).toBe(false);
  };
  await says([], /^conquer: expected --over FIELD=VALUES, got none: .*\n$/);
  await says(['--over', 'loss.margin'], /^conquer: --over: expected FIELD=A,B,C .*\n$/);
  await says(['--over', 'loss.margn=1,2'], /^conquer: loss\.margn 1: .*\n$/);
  await says(
    ['--over', 'loss.margin=1..2'],
    /^conquer: a grid: expected values of loss\.margin, got a range .*\n$/,
  );
  await says(
    ['--over', 'loss.margin=1', '--search', 'bayes'],
    /^conquer: --search: expected one of grid, .*\n$/,
  );
  const folders = '--over=data.dataset.folder=images,nowhere';
  const { code, stdout, stderr } = await sweep([folders, '--set', 'train.epochs=1', '--out', 'one-fails']);
  expect(code, stderr).toBe(1);
  expect(stdout).toMatch(/1\/1/);
  expect(stdout).toMatch(/002-folder=.*nowhere failed: .*nowhere/);
});
