// Forward and backward of every loss beside pytorch-metric-learning's, in one run, by turns, on two threads (THREADS); by the clock, and
// by processor time, which other work on the machine changes less:
//   PYTHON=… node bench/losses.mjs [--write] [NAME …]
// --write puts the table into docs/losses.md.
// A batch of 80 and one of 1,024, 512 dimensions, classes of 4, 100 classes for losses with weights of classes.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { BatchEasyHardMiner, batchRows, builtInParts, withDefaults } from '../packages/conquer/dist/index.js';
import {
  F,
  Generator,
  keepFreedMemory,
  randn,
  scope,
  setNumThreads,
  torchVersion,
} from '../packages/torch/dist/index.js';
import { commandLine, refuse } from './command-line.mjs';
import { startPeer } from './lines.mjs';

const DIM = 512;
const CLASSES = 100;
const BATCHES = [80, 1024];
/** Turns of each side, each of many times; the fastest time counts. */
const TURNS = Number(process.env.TURNS ?? 5);
/** The largest batch of peers that need more memory (B³ numbers, or pairs times pairs), or minutes, for a larger one. */
const MOST = { 'smooth-ap': 80, 'nt-xent': 80, 'threshold-consistent-margin': 80, histogram: 80 };

/** The longest that the warming up of a small batch takes, in milliseconds. */
const WARM_UP = 2000;

/** Ours that take B³ numbers, as their help says, which is 4 GiB of a batch of 1,024. */
const CUBIC = ['triplet-all', 'triplet-semihard'];

const THREADS = Number(process.env.THREADS ?? 2);

keepFreedMemory();
setNumThreads(THREADS);

/** A function that does it once. */
function ours(part, batch) {
  const generator = new Generator(1);
  const context = { numClasses: CLASSES, embeddingDim: DIM, generator, compat: null };
  const loss = part.build(withDefaults('loss', part.options, {}), context);
  const labels = Int32Array.from({ length: batch }, (_, i) => Math.floor(i / 4) % CLASSES);
  const x = randn([batch, DIM], { generator }).requiresGrad_();
  const hard = new BatchEasyHardMiner({ positive: 'hard', negative: 'hard' });
  const tuples = loss.usesTuples ? scope(() => hard.mine(batchRows(F.normalize(x.detach()), labels))) : null;
  return () => {
    x.grad = null;
    loss.zeroGrad();
    scope(() => {
      const rows = batchRows(F.normalize(x), labels);
      loss.forward(rows, rows, tuples).backward();
    });
  };
}

/** The least that one of so many took: what else the machine does makes others longer, never shorter. */
function time(work, repeats) {
  // Small batches as often as V8 needs to be done with compiling.
  const begun = performance.now();
  for (let i = 0; i < (repeats > 20 ? 300 : 2) && performance.now() - begun < WARM_UP; i++) work();
  return least(
    Array.from({ length: repeats }, () => {
      const [start, before] = [performance.now(), process.cpuUsage()];
      work();
      const { user, system } = process.cpuUsage(before);
      return { seconds: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
    }),
  );
}

const shown = (seconds) => (seconds * 1000).toFixed(seconds < 0.01 ? 2 : 1);
const KINDS = ['seconds', 'processor'];
const least = (times) =>
  Object.fromEntries(KINDS.map((kind) => [kind, Math.min(...times.map((one) => one[kind]))]));

const { values, positionals: wanted } = commandLine({ write: { type: 'boolean' } }, ['[NAME…]']);
const unknown = wanted.filter((name) => !builtInParts.losses.some((part) => part.name === name));
if (unknown.length > 0) refuse(`no loss ${unknown.join(', ')}`);
const lines = [];
const print = (line) => {
  lines.push(line);
  console.log(line);
};
const other = startPeer(['peers/losses.py'], 'pytorch-metric-learning', THREADS);
const versions = await other.ready();
const ratios = { seconds: [], processor: [] };
print('| loss | batch | ms, of the processor | pytorch-metric-learning | ratio, of processor time |');
print('|---|---|---|---|---|');
for (const part of builtInParts.losses) {
  if (wanted.length > 0 && !wanted.includes(part.name)) continue;
  for (const batch of CUBIC.includes(part.name) ? [80] : BATCHES) {
    const work = ours(part, batch);
    const repeats = batch === 80 ? 100 : 12;
    const [mine, theirs] = [[], []];
    for (let turn = 0; turn < TURNS; turn++) {
      mine.push(time(work, repeats));
      if (batch > (MOST[part.name] ?? batch)) continue;
      const times = await other.ask(`${part.name} ${batch} ${repeats}`);
      if (times !== null) theirs.push(times);
    }
    const here = least(mine);
    const there = theirs.length > 0 ? least(theirs) : null;
    if (there) for (const kind of KINDS) ratios[kind].push(here[kind] / there[kind]);
    const both = (times) => (times ? KINDS.map((kind) => shown(times[kind])).join(', ') : '');
    const ratio = there ? KINDS.map((kind) => (here[kind] / there[kind]).toFixed(2)).join(', ') : '';
    print(`| ${part.name} | ${batch} | ${both(here)} | ${both(there)} | ${ratio} |`);
  }
}
other.end();
print('');
for (const kind of KINDS) {
  const sorted = ratios[kind].sort((a, b) => a - b);
  const [middle, worst] = [sorted[sorted.length >> 1], sorted.at(-1)];
  print(
    `${kind === 'seconds' ? 'By the clock' : 'By processor time'}: ${sorted.length} rows with a peer, median ${middle?.toFixed(2)}, worst ${worst?.toFixed(2)}.`,
  );
}
if (values.write) {
  const file = new URL('../docs/losses.md', import.meta.url);
  const text = readFileSync(file, 'utf8');
  const [begin, end] = ['<!-- bench: losses -->', '<!-- end of bench -->'];
  const [before, rest] = text.split(begin);
  const after = rest.slice(rest.indexOf(end));
  const load = Math.round(loadavg()[2]);
  const machine = `${THREADS} threads of ${cpus()[0].model.trim()} (${cpus().length} cores, load ${load} with this), here on libtorch ${torchVersion()}, pytorch-metric-learning ${versions.pml} on PyTorch ${versions.torch}.`;
  writeFileSync(file, `${before}${begin}\n${machine}\n\n${lines.join('\n')}\n${after}`);
}
