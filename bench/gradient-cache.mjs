// A step's forward and backward of ResNet-18 with Smooth-AP on one batch: at once, and through the gradient cache. Peak memory
// beyond that of the network and the images' bytes, time by the clock and of the processor, each in a process of its own, by turns:
//   node bench/gradient-cache.mjs [BATCH CHUNK PIXELS]
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ImagesInChunks } from '../packages/conquer/dist/data/images-in-chunks.js';
import {
  batchRows,
  createModel,
  embedWhole,
  GradientCache,
  Normalize,
  Random,
  SmoothApLoss,
} from '../packages/conquer/dist/index.js';
import {
  F,
  Generator,
  imagesFromPixels,
  randint,
  scope,
  setNumThreads,
} from '../packages/torch/dist/index.js';
import { commandLine } from './command-line.mjs';

const { values, positionals } = commandLine({ how: { type: 'string' } }, ['[BATCH]', '[CHUNK]', '[PIXELS]']);
const [batch = 400, chunk = 50, pixels = 224] = positionals.map(Number);
const { how } = values;
const TURNS = Number(process.env.TURNS ?? 2);

function step(bytes, model, dropout) {
  const labels = Int32Array.from({ length: batch }, (_, i) => Math.floor(i / 4));
  const loss = new SmoothApLoss();
  scope(() => {
    const transform = new Normalize();
    const images =
      how === 'chunks'
        ? new ImagesInChunks(bytes, transform, new Random(1), chunk, 'cpu')
        : transform.apply(imagesFromPixels(bytes));
    const embedder = how === 'chunks' ? new GradientCache(model, chunk, dropout) : null;
    const { rows, backward } = embedder?.embed(images) ?? embedWhole(model, images);
    const anchors = batchRows(F.normalize(rows), labels);
    backward(loss.forward(anchors, anchors));
  });
}

function measure() {
  setNumThreads(2);
  const generator = new Generator(1);
  const model = createModel('resnet18', { embeddingDim: 128, dropout: 0, frozenBatchNorm: true, generator });
  model.train();
  const bytes = randint(0, 256, [batch, pixels, pixels, 3], { dtype: 'uint8', generator });
  const before = process.resourceUsage().maxRSS;
  const [start, used] = [performance.now(), process.cpuUsage()];
  step(bytes, model, new Generator(2));
  const { user, system } = process.cpuUsage(used);
  console.log(
    JSON.stringify({
      seconds: (performance.now() - start) / 1000,
      processor: (user + system) / 1e6,
      mebibytes: (process.resourceUsage().maxRSS - before) / 1024,
    }),
  );
}

function compare() {
  const found = { whole: [], chunks: [] };
  for (let turn = 0; turn < TURNS; turn++)
    for (const mode of Object.keys(found)) {
      const args = [fileURLToPath(import.meta.url), '--how', mode, batch, chunk, pixels].map(String);
      found[mode].push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })));
    }
  console.log(`| ResNet-18, ${batch} images of ${pixels} px | peak memory | seconds, of the processor |`);
  console.log('|---|---|---|');
  for (const [mode, times] of Object.entries(found)) {
    const least = (kind) => Math.min(...times.map((one) => one[kind]));
    const name = mode === 'whole' ? 'at once' : `in chunks of ${chunk}`;
    const time = `${least('seconds').toFixed(1)}, ${least('processor').toFixed(1)}`;
    console.log(`| ${name} | ${(least('mebibytes') / 1024).toFixed(2)} GiB | ${time} |`);
  }
}

if (how === undefined) compare();
else measure();
