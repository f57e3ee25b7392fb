// Trainings of heads on kept features, ours and PyTorch with pytorch-metric-learning, by turns in one run, on two threads: 9 trainings (3 heads,
// 3 seeds) of 1,500 steps at batch 128 on 5,000 photos of 100 classes × 4 views × 384 features, by the clock and by processor time:
//   PYTHON=… [TURNS=1] [STEPS=1500] node bench/fit.mjs
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { resolveExperiment } from '../packages/conquer/dist/experiment/resolve.js';
import { headDefaults } from '../packages/conquer/dist/fit/head-recipes.js';
import { embedded, scoreOf, trainHead } from '../packages/conquer/dist/fit/head-training.js';
import { KeptFeatures } from '../packages/conquer/dist/fit/keep-features.js';
import { mergeExperiments } from '../packages/conquer/dist/index.js';
import {
  cat,
  Generator,
  keepFreedMemory,
  randn,
  scope,
  setNumThreads,
} from '../packages/torch/dist/index.js';
import { commandLine } from './command-line.mjs';
import { PYTHON } from './sides.mjs';

commandLine();

const [PHOTOS, CLASSES, VIEWS, FEATURES, BATCH, DIM] = [5000, 100, 4, 384, 128, 256];
const STEPS = Number(process.env.STEPS ?? 1500);
const TURNS = Number(process.env.TURNS ?? 1);
const HEADS = {
  'linear, multi-similarity': { model: { head: { name: 'linear' } } },
  'MLP of 512, multi-similarity': { model: { head: { name: 'mlp', hidden: [512], hiddenNorm: false } } },
  'linear, normalised softmax': { model: { head: { name: 'linear' } }, loss: { name: 'normalized-softmax' } },
};

keepFreedMemory();
setNumThreads(2);

const labels = Int32Array.from({ length: PHOTOS }, (_, i) => i % CLASSES);
const rows = scope(() => {
  const generator = new Generator(1);
  const centres = randn([CLASSES, FEATURES], { generator });
  const views = Array.from({ length: VIEWS }, () =>
    cat(Array.from({ length: PHOTOS / CLASSES }, () => centres)).add(
      randn([PHOTOS, FEATURES], { generator }),
      2,
    ),
  );
  return cat(views);
}).keep();
const kept = new KeptFeatures(rows, PHOTOS, VIEWS, new Uint8Array(PHOTOS), 0, '');
const network = {
  name: 'features',
  featureSize: FEATURES,
  input: { size: 224, mean: [0, 0, 0], std: [1, 1, 1] },
};
const photos = Int32Array.from(labels.keys());

/** Seconds by the clock and of the processor of one head and seed. */
async function ours(name, seed) {
  const passes = { batchSize: BATCH, passesPerEpoch: 1 };
  const pass = Math.floor(PHOTOS / BATCH);
  const experiment = resolveExperiment(
    mergeExperiments(headDefaults, HEADS[name], {
      data: passes,
      model: { embeddingDim: DIM },
      train: { seed, epochs: Math.ceil(STEPS / pass) },
    }),
  );
  let steps = 0;
  const begun = { wall: performance.now(), cpu: process.cpuUsage() };
  const model = await trainHead({
    ...{ experiment, kept, network, train: { photos, labels } },
    onSteps: (count) => {
      steps += count;
    },
  });
  const cpu = process.cpuUsage(begun.cpu);
  const factor = STEPS / steps;
  const wall = ((performance.now() - begun.wall) / 1000) * factor;
  const rowsOfAll = embedded(model, kept, photos);
  const { mapAtR } = scoreOf(rowsOfAll, labels);
  rowsOfAll.dispose();
  model.dispose();
  return { wall, cpu: ((cpu.user + cpu.system) / 1e6) * factor, mapAtR };
}

const child = spawn(PYTHON, ['peers/fit.py'], {
  cwd: dirname(fileURLToPath(import.meta.url)),
  env: { ...process.env, OMP_NUM_THREADS: '2', OMP_WAIT_POLICY: 'passive' },
  stdio: ['pipe', 'pipe', 'inherit'],
});
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
const answer = async () => {
  const { value, done } = await lines.next();
  if (done) throw new Error('the peer ended: PYTHON has to have torch and pytorch-metric-learning');
  return JSON.parse(value);
};
console.log('peer', (await answer()).ready);
const total = { ours: { wall: 0, cpu: 0 }, peer: { wall: 0, cpu: 0 } };
for (const name of Object.keys(HEADS)) {
  const best = {};
  for (let turn = 0; turn < TURNS; turn++)
    for (const seed of [1, 2, 3]) {
      const one = await ours(name, seed);
      child.stdin.write(`${JSON.stringify({ name, seed, steps: STEPS })}\n`);
      const other = await answer();
      for (const [side, found] of Object.entries({ ours: one, peer: other })) {
        const key = `${side} ${seed}`;
        best[key] = best[key] && best[key].cpu <= found.cpu ? best[key] : found;
      }
    }
  for (const [key, { wall, cpu }] of Object.entries(best)) {
    const side = total[key.split(' ')[0]];
    side.wall += wall;
    side.cpu += cpu;
  }
  const of = (side, what) =>
    [1, 2, 3].reduce((sum, seed) => sum + best[`${side} ${seed}`][what], 0).toFixed(1);
  console.log(
    `${name}: ours ${of('ours', 'wall')} s (processor ${of('ours', 'cpu')} s), peer ${of('peer', 'wall')} s (processor ${of('peer', 'cpu')} s)`,
  );
}
child.stdin.end();
const { ours: a, peer: b } = total;
console.log(
  `all 9: ours ${a.wall.toFixed(1)} s, peer ${b.wall.toFixed(1)} s, ratio ${(a.wall / b.wall).toFixed(2)}; processor ${a.cpu.toFixed(1)} s, ${b.cpu.toFixed(1)} s, ratio ${(a.cpu / b.cpu).toFixed(2)}`,
);
