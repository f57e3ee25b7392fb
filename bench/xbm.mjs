// A step of the cross-batch memory with the multi-similarity loss beside pytorch-metric-learning's, in one run, by turns, on two
// threads; by the clock, and by processor time, which other work on the machine changes less:
//   PYTHON=… node bench/xbm.mjs
// A batch of 80 is put into a full memory of 60,000 × 128, 15,000 classes of 4, and compared with it: forward and backward.
import { CrossBatchMemory, MultiSimilarityLoss } from '../packages/conquer/dist/index.js';
import {
  F,
  Generator,
  keepFreedMemory,
  noGrad,
  randn,
  scope,
  setNumThreads,
} from '../packages/torch/dist/index.js';
import { commandLine } from './command-line.mjs';
import { startPeer } from './lines.mjs';

commandLine();

const [SIZE, DIM, BATCH, CLASSES, REPEATS] = [60_000, 128, 80, 15_000, 4];
/** Turns of each side; the fastest counts. */
const TURNS = Number(process.env.TURNS ?? 6);

keepFreedMemory();
setNumThreads(2);

function ours(loss) {
  const generator = new Generator(1);
  const memory = new CrossBatchMemory({ size: SIZE, startStep: 0 });
  const ownersFrom = (first, count) => ({
    labels: Int32Array.from({ length: count }, (_, i) => Math.floor((first + i) / 4) % CLASSES),
    imageIds: Int32Array.from({ length: count }, (_, i) => first + i),
  });
  scope(() => memory.add(0, randn([SIZE, DIM], { generator }), ownersFrom(0, SIZE)));
  const x = randn([BATCH, DIM], { generator }).requiresGrad_();
  let first = SIZE;
  return () => {
    x.grad = null;
    scope(() => {
      const owners = ownersFrom(first, BATCH);
      first += BATCH;
      memory.add(0, x, owners);
      const remembered = memory.remembered(0);
      const rows = { ...remembered.owners, embeddings: noGrad(() => F.normalize(remembered.rows)) };
      loss.forward({ ...owners, embeddings: F.normalize(x) }, rows).backward();
    });
  };
}

function time(work) {
  for (let i = 0; i < 3; i++) work();
  const [start, before] = [performance.now(), process.cpuUsage()];
  for (let i = 0; i < REPEATS; i++) work();
  const { user, system } = process.cpuUsage(before);
  return {
    seconds: (performance.now() - start) / 1000 / REPEATS,
    processor: (user + system) / 1e6 / REPEATS,
  };
}

const rows = {
  'all pairs': new MultiSimilarityLoss({ margin: null }),
  'hard pairs': new MultiSimilarityLoss(),
};
const KINDS = ['seconds', 'processor'];
const least = (times) =>
  Object.fromEntries(KINDS.map((kind) => [kind, Math.min(...times.map((one) => one[kind]))]));
const sizes = [SIZE, DIM, BATCH, CLASSES].map(String);
const other = startPeer(['peers/xbm.py', ...sizes], 'pytorch-metric-learning');
await other.ready();
console.log(
  '| multi-similarity of | ms, of the processor | pytorch-metric-learning | ratio, of processor time |',
);
console.log('|---|---|---|---|');
for (const [name, loss] of Object.entries(rows)) {
  const work = ours(loss);
  const [mine, theirs] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    mine.push(time(work));
    theirs.push(await other.ask(`${name.split(' ')[0]} ${REPEATS}`));
  }
  const [here, there] = [least(mine), least(theirs)];
  const both = (times) => KINDS.map((kind) => (times[kind] * 1000).toFixed(1)).join(', ');
  const ratio = KINDS.map((kind) => (here[kind] / there[kind]).toFixed(2)).join(', ');
  console.log(`| ${name} | ${both(here)} | ${both(there)} | ${ratio} |`);
}
other.end();
