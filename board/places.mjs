// Where the board keeps what it reads and writes: data and a folder for each cell outside the repository, results in it.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** `$BOARD`; in the checkout's cache where it is not set. */
export const BOARD = process.env.BOARD ?? join(ROOT, '.cache', 'board');
/** A Python with torch, torchvision, timm and pytorch-metric-learning, for the peers. */
export const PYTHON = process.env.PYTHON ?? 'python3';
export const THREADS = Number(process.env.OMP_NUM_THREADS ?? 2);

export const folderOf = (cell) => join(BOARD, 'cells', cell.id);
export const readJson = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null);

function writeWhole(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

/** Whole or not at all: a cell that was killed has no result. */
export const writeJson = (file, value) => writeWhole(file, `${JSON.stringify(value, null, 1)}\n`);

/** What a cell left in its folder here; null where it did not run on this machine. */
export const ownResultOf = (id) => readJson(join(BOARD, 'cells', id, 'result.json'));

/** By id: what each cell that ran found, or `{ cell, failed }`, the line it failed with. A line each, so that a change is seen in a diff. */
export function readResults(file) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return new Map(
    lines
      .filter((line) => line !== '')
      .map((line) => {
        const result = JSON.parse(line);
        return [result.cell.id, result];
      }),
  );
}

/** Beside those that are in the file now: another process may have added some. */
export function addResult(file, result) {
  const results = readResults(file).set(result.cell.id, result);
  const inOrder = [...results].sort(([a], [b]) => (a < b ? -1 : 1));
  writeWhole(file, inOrder.map(([, found]) => `${JSON.stringify(found)}\n`).join(''));
}

/** What a cell ran on; a machine with more work than cores is crowded, and its seconds are no measure. */
export const machine = () => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  load: loadavg()[0],
  date: new Date().toISOString().slice(0, 10),
});

/** Cores that other work held, on average over the cell. */
export const othersHeld = (before, seconds, processorSeconds) =>
  Math.max(0, (before.load + loadavg()[0]) / 2 - processorSeconds / Math.max(seconds, 1e-9));
