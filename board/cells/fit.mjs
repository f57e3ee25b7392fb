// What `conquer fit` reaches on the training classes of a seed, the photos' way through the network included. `node board/cells/fit.mjs FOLDER`.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fit as fitHeads } from '../../packages/conquer/dist/index.js';
import { splitOf } from '../data.mjs';
import { machine, othersHeld, ROOT, readJson, THREADS, writeJson } from '../places.mjs';

const [folder] = process.argv.slice(2);
const cell = readJson(join(folder, 'cell.json'));
const before = machine();
const { folder: data, csv, images, parts } = await splitOf(cell.set, cell.seed);
const own = join(data, `${cell.seed}-fit.csv`);
const lines = [...parts.train].map((at) => `${images[at].path},${images[at].label}`);
if (!existsSync(own)) writeFileSync(own, ['path,label', ...lines, ''].join('\n'));
const run = join(folder, 'run');
// Timed as a whole: nothing is kept of an earlier call.
for (const old of [run, join(folder, 'cache')]) rmSync(old, { recursive: true, force: true });
const cpu = process.cpuUsage();
const report = await fitHeads(
  { dataset: { name: 'csv', file: own }, ...cell.options },
  { run, folder: join(folder, 'cache'), threads: THREADS, observer: { onWarning: () => {} } },
);
const { user, system } = process.cpuUsage(cpu);
const model = report.run === null ? report.model : run;
const program = join(ROOT, 'packages/conquer/bin/conquer.js');
const flags = [
  'eval',
  '--model',
  model,
  '--dataset',
  'csv',
  '--dataset-dir',
  csv,
  '--threads',
  String(THREADS),
  '--json',
];
const { metrics } = JSON.parse(
  execFileSync(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'ignore'] }),
);
const scores = Object.fromEntries(['R@1', 'R@1 SE', 'MAP@R', 'NMI'].map((name) => [name, metrics[name]]));
const seconds = report.seconds.total;
const processorSeconds = (user + system) / 1e6;
rmSync(join(folder, 'cache'), { recursive: true, force: true });
writeJson(join(folder, 'result.json'), {
  ...{ cell, scores, seconds, processorSeconds, machine: before, taken: report.taken },
  curve: [{ seconds, steps: null, ...scores }],
  memory: process.resourceUsage().maxRSS * 1024,
  others: othersHeld(before, seconds, processorSeconds),
});
