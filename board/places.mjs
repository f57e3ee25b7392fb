// Where the board keeps what is not in the repository: data, and a folder for each cell.
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

/** Whole or not at all: a cell that was killed has no result. */
export function writeJson(file, value) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, `${JSON.stringify(value, null, 1)}\n`);
  renameSync(`${file}.part`, file);
}

export const resultOf = (cell) => readJson(join(folderOf(cell), 'result.json'));

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
