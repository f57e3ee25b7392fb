// node bench/cuda.mjs: the training step and the searches on a card (cuda:0), against PyTorch where it has the same.
// PYTHON names the Python that has torch and torchvision; libtorch best comes from there too (LIBTORCH_USE_PYTORCH=1).
import { evaluateEmbeddings, kMeans, Random } from '../packages/conquer/dist/index.js';
import { Generator, randn, torchVersion } from '../packages/torch/dist/index.js';
import { commandLine } from './command-line.mjs';
import { median, startOurs, startPeer } from './sides.mjs';

commandLine();

const DEVICE = 'cuda:0';
const REPEATS = 5;
const STEPS = 20;

const steps = [
  ['ResNet-50, batch 80, 224 px, frozen BN, 8 learners', 'resnet50', 80, 224, 8, 'frozen'],
  ['ResNet-50, batch 80, 224 px, trained BN, 8 learners', 'resnet50', 80, 224, 8, 'trained'],
  ['ResNet-50, batch 8, 224 px, frozen BN, 8 learners', 'resnet50', 8, 224, 8, 'frozen'],
  ['ResNet-18, batch 80, 64 px, trained BN, 32 learners', 'resnet18', 80, 64, 32, 'trained'],
];

const milliseconds = (seconds) => (seconds * 1000).toFixed(1);

console.log(
  `libtorch ${torchVersion()}\n\n| step | ours, ms | ours repeatable, ms | PyTorch, ms | ratio |\n|---|---|---|---|---|`,
);
for (const [what, arch, batch, size, learners, bn] of steps) {
  const args = Object.entries({ arch, batch, size, learners, bn, device: DEVICE, steps: STEPS });
  const given = args.flatMap(([name, value]) => [`--${name}`, String(value)]);
  const ours = await startOurs('step', given);
  // As the command line does, so that a run can be repeated.
  const repeatable = await startOurs('step', [...given, '--deterministic', 'yes']);
  // PyTorch's faster Adam of the two.
  const peer = await startPeer('step', [...given, '--foreach', 'yes']);
  const times = { ours: [], repeatable: [], peer: [] };
  for (const side of [ours, repeatable, peer]) await side.run(); // the first steps set up cuDNN
  for (let i = 0; i < REPEATS; i++) {
    times.ours.push((await ours.run()).seconds);
    times.repeatable.push((await repeatable.run()).seconds);
    times.peer.push((await peer.run()).seconds);
  }
  for (const side of [ours, repeatable, peer]) await side.end();
  const [a, r, b] = [times.ours, times.repeatable, times.peer].map(median);
  console.log(
    `| ${what} | ${milliseconds(a)} | ${milliseconds(r)} | ${milliseconds(b)} | ${(a / b).toFixed(2)} |`,
  );
}

/** Seconds on the card and on the CPU; the card's second time, when it is warm. */
function timed(what, work) {
  const times = [DEVICE, DEVICE, 'cpu'].map((device) => {
    const prepared = work(device);
    const start = performance.now();
    prepared();
    return (performance.now() - start) / 1000;
  });
  console.log(`| ${what} | ${times[1].toFixed(2)} | ${times[2].toFixed(2)} |`);
}

const embeddings = (rows, dim) => randn([rows, dim], { generator: new Generator(1) });
console.log('\n| | card, s | CPU, s |\n|---|---|---|');
timed('Recall@{1, 10, 100, 1000} and MAP@R, 60,502 × 512', (device) => {
  const x = embeddings(60_502, 512).to({ device });
  const labels = Int32Array.from({ length: 60_502 }, (_, i) => i % 11_316);
  return () => evaluateEmbeddings(x, labels, { recallAt: [1, 10, 100, 1000], nmi: false });
});
timed('k-means, 60,000 × 2,048, 32 clusters', (device) => {
  const x = embeddings(60_000, 2048).to({ device });
  return () => kMeans(x, 32, { random: new Random(0), maxIterations: 20 }).centroids.dispose();
});
timed('k-means, 60,502 × 512, 11,316 clusters, 5 iterations', (device) => {
  const x = embeddings(60_502, 512).to({ device });
  return () =>
    kMeans(x, 11_316, { random: new Random(0), init: 'random', maxIterations: 5 }).centroids.dispose();
});
