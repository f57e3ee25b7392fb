import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { ROOT } from './places.mjs';

const BOARD = temporaryFolder();
const PYTHON = process.env.PYTHON ?? 'python3';
const hasPeer =
  spawnSync(PYTHON, [
    '-c',
    "import importlib.util as u; assert u.find_spec('pytorch_metric_learning') and u.find_spec('timm')",
  ]).status === 0;

const board = async (...args) => {
  const env = { ...process.env, BOARD, PYTHON, OMP_NUM_THREADS: '1' };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(ROOT, 'board/run.mjs'), '--miniature', ...args],
    { env },
  );
  return stdout;
};
const results = () =>
  readFileSync(join(BOARD, 'results.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const text = () => readFileSync(join(BOARD, 'board.md'), 'utf8');

it('runs cells of each kind, goes on where it was, and writes the page of them', async () => {
  const ours = '^kept.*(one|four|distilled|longer)/1|^network';
  await board('--all', '--cells', ours);
  expect(text()).toContain('| one learner | 1 |');
  expect(text()).toContain('distilled into one embedding');
  expect(text()).toContain('mask by the query');
  // The variants of a seed begin alike, on kept features and where the network trains.
  expect(text()).not.toContain('Not of one start');
  expect(text()).not.toContain('failed');
  const result = join(BOARD, 'cells/kept/miniature/four/1/result.json');
  const { scores, curve, memory, machine } = JSON.parse(readFileSync(result, 'utf8'));
  expect(curve.at(-1)['MAP@R']).toBe(scores['MAP@R']);
  expect(memory).toBeGreaterThan(2 ** 26);
  expect(machine.cores).toBeGreaterThan(0);
  // What has a result is not run again, its folder being there or not; but it is where that is asked for, to the same numbers.
  rmSync(join(BOARD, 'cells/kept/miniature/one'), { recursive: true });
  expect(await board('--all', '--cells', ours)).not.toMatch(/^(kept|network)/m);
  rmSync(result);
  const said = await board('--all', '--again', '--cells', 'kept/miniature/(four|longer)/1');
  expect(said.match(/^kept\S*/gm)).toEqual(['kept/miniature/four/1:', 'kept/miniature/longer/1:']);
  expect(JSON.parse(readFileSync(result, 'utf8')).scores).toEqual(scores);
  expect(results().filter(({ cell }) => cell.id === 'kept/miniature/four/1')).toHaveLength(1);
});

it.skipIf(!hasPeer)(
  'trains the peer by its own code from the same start, and what it needs before',
  async () => {
    expect(await board('--all', '--cells', '/pml/')).toContain(
      'time/miniature-scratch/pml/1: needs time/miniature-scratch/search-pml/margin-0.001\n',
    );
    await board('--all', '--cells', 'pml');
    expect(existsSync(join(BOARD, 'starts/resnet18-1.pth'))).toBe(true);
    const { cell, curve } = results().find(({ cell }) => cell.id === 'time/miniature-scratch/pml/1');
    expect(cell.settings).toMatchObject({ loss: 'margin', learningRate: 1e-3 });
    expect(curve[0].seconds).toBe(0);
    expect(text()).toContain('| pytorch-metric-learning, best of its search | 1 |');
  },
);
