// npm run board: runs cells of the plan that have no result yet, each in a process of its own, and writes docs/board.md of all that have one
// (board/results.jsonl).
//   -- --cells PATTERN   those whose id has it (a regular expression)
//   -- --minutes N       as many as fit; without it and without --all, none: only the page is written
//   -- --all             all of them
//   -- --again           those that have a result too: theirs is replaced
//   -- --list            what there is to run, and how long it takes about
//   -- --miniature       cells of seconds instead of the plan's, and the page into the board's folder
// Data and runs lie in $BOARD (.cache/board where it is not set); $PYTHON has pytorch-metric-learning. A cell that is killed goes on, or begins
// anew, the next time.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { commandLine, refuse } from '../bench/command-line.mjs';
import { figure } from './figure.mjs';
import { page } from './page.mjs';
import {
  addResult,
  BOARD,
  folderOf,
  ownResultOf,
  ROOT,
  readJson,
  readResults,
  writeJson,
} from './places.mjs';
import { miniature, plan } from './plan.mjs';

const { values } = commandLine({
  cells: { type: 'pattern', default: '' },
  minutes: { type: 'number' },
  all: { type: 'boolean', default: false },
  again: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  miniature: { type: 'boolean', default: false },
});
const cells = values.miniature ? miniature : plan;
const RESULTS = values.miniature ? join(BOARD, 'results.jsonl') : join(ROOT, 'board/results.jsonl');
/** By id, of the cells that have one. Read anew for each question alone: it is a file of a megabyte, and other processes add to it. */
const results = () => new Map([...readResults(RESULTS)].filter(([, { failed }]) => failed === undefined));

/** A cell with what the cells that it needs have found; a word on the first of them that has no result. */
function settled(cell) {
  const needs = cell.needs ?? [];
  if (cell.bestOf === undefined) {
    // Their seconds are taken, which are of one machine.
    const missing = needs.find((id) => ownResultOf(id) === null);
    return missing === undefined ? cell : `needs ${missing}, run on this machine`;
  }
  const there = results();
  const missing = needs.find((id) => !there.has(id));
  if (missing !== undefined) return `needs ${missing}`;
  const found = needs.map((id) => there.get(id));
  const best = found.reduce((one, other) => (other.scores['MAP@R'] > one.scores['MAP@R'] ? other : one));
  const { startFile: _, ...settings } = best.cell.settings;
  return { ...cell, settings: { ...settings, ...cell.but } };
}

const plain = ({ csv: _, settings, ...cell }) => {
  const { startFile: __, ...others } = settings ?? {};
  return { ...cell, settings: others };
};

let child = null;
let stopped = false;
async function runCell(cell) {
  const folder = folderOf(cell);
  const file = join(folder, 'cell.json');
  // What was begun by other settings is not gone on with. A peer's cell adds files of this machine to its own.
  if (existsSync(file) && !isDeepStrictEqual(plain(readJson(file)), plain(cell)))
    rmSync(folder, { recursive: true });
  mkdirSync(folder, { recursive: true });
  if (!existsSync(file)) writeJson(file, cell);
  let said = '';
  child = spawn(process.execPath, [join(ROOT, 'board/cells', `${cell.script}.mjs`), folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4000);
  });
  const code = await new Promise((done) => child.on('close', done));
  if (code === 0) {
    addResult(RESULTS, { ...ownResultOf(cell.id), cell });
    return null;
  }
  if (stopped) return 'stopped; it goes on, or begins anew, the next time';
  const line =
    said.split('\n').findLast((text) => /^(\w*Error|conquer):/.test(text)) ??
    `its process ended with ${code ?? 'a signal'}`;
  addResult(RESULTS, { cell, failed: line });
  return line;
}

const chosen = cells.filter(({ id }) => values.cells.test(id));
if (chosen.length === 0) refuse(`no cell's id has ${values.cells.source}; --list tells them`);
const before = results();
const left = chosen.filter(({ id }) => values.again || !before.has(id));
if (values.list) {
  for (const cell of chosen)
    console.log(`${before.has(cell.id) ? 'done' : '    '}  ${cell.id}  about ${cell.minutesAbout} min`);
  console.log(
    `${left.length} of ${chosen.length} to run: about ${(left.reduce((sum, { minutesAbout }) => sum + minutesAbout, 0) / 60).toFixed(1)} h`,
  );
} else {
  const until = performance.now() + 60_000 * (values.all ? Number.POSITIVE_INFINITY : (values.minutes ?? 0));
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => {
      stopped = true;
      child?.kill('SIGTERM');
    });
  for (const cell of left) {
    if (stopped) break;
    if (performance.now() + 60_000 * cell.minutesAbout > until) continue;
    const whole = settled(cell);
    if (typeof whole === 'string') {
      console.log(`${cell.id}: ${whole}`);
      continue;
    }
    if (values.again) rmSync(folderOf(cell), { recursive: true, force: true });
    const began = performance.now();
    const problem = await runCell(whole);
    const took = `${((performance.now() - began) / 1000).toFixed(0)} s`;
    console.log(`${cell.id}: ${problem ?? took}`);
  }
  const file = values.miniature ? join(BOARD, 'board.md') : join(ROOT, 'docs/board.md');
  writeFileSync(file, page(cells, readResults(RESULTS)));
  const drawn = figure(results());
  const picture = join(values.miniature ? BOARD : join(ROOT, 'docs/images'), 'board.svg');
  if (drawn !== null) writeFileSync(picture, drawn);
  console.log(file);
}
