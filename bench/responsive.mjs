// How late a timer of 10 ms is in the main thread: for 5 s in which nothing is done here, and while `conquer train` trains in
// its own thread. node bench/responsive.mjs [--seconds 60]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { commandLine } from './command-line.mjs';

const dist = (path) => pathToFileURL(join(import.meta.dirname, '../packages/conquer/dist', path)).href;
const { trainInThread } = await import(dist('cli/in-thread.js'));
const { resolveExperiment } = await import(dist('experiment/resolve.js'));

const CLASSES = 100;
const PER_CLASS = 20;
const { seconds } = commandLine({ seconds: { type: 'number', default: 60 } }).values;
const folder = mkdtempSync(join(tmpdir(), 'conquer-responsive-'));
try {
  for (let label = 0; label < CLASSES; label++) {
    mkdirSync(join(folder, 'images', `class-${label}`), { recursive: true });
    for (let image = 0; image < PER_CLASS; image++) {
      const pixels = Uint8Array.from(
        { length: 64 * 64 * 3 },
        (_, at) => (at * (label + 1) + image * 7 + (at % 13) * image) % 256,
      );
      const file = join(folder, 'images', `class-${label}`, `${image}.png`);
      await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } }).toFile(file);
    }
  }
  const experiment = resolveExperiment({
    data: { dataset: { name: 'folder', folder: join(folder, 'images') }, imageSize: 56, batchSize: 40 },
    model: { backbone: { name: 'resnet18' }, weights: null, batchNorm: 'trained' },
    divide: { numLearners: 4, divideFrom: 0 },
    train: { epochs: 1000 },
  });
  const late = { idle: [], begin: [], divide: [], evaluate: [], steps: [] };
  let now = 'idle';
  let before = performance.now();
  const timer = setInterval(() => {
    const at = performance.now();
    late[now].push(Math.max(0, at - before - 10));
    before = at;
  }, 10);
  // What the machine has to do beside this.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  now = 'begin';
  const stop = new AbortController();
  let asked = 0;
  setTimeout(() => {
    asked = performance.now();
    stop.abort();
  }, 1000 * seconds);
  const observer = {
    onStep: () => {
      now = 'steps';
    },
    onEmbed: ({ purpose }) => {
      now = purpose;
    },
  };
  const job = {
    experiment,
    path: join(folder, 'run'),
    resume: false,
    cached: false,
    profile: false,
    plugins: [],
  };
  await trainInThread(job, [observer], stop.signal).catch((error) => {
    if (error.name !== 'Interrupted') throw error;
    console.log(
      `stopped and saved ${(performance.now() - asked).toFixed(0)} ms after it was asked to, during ${now}`,
    );
  });
  clearInterval(timer);
  const { idle, ...training } = late;
  for (const [what, values] of Object.entries({
    idle,
    training: Object.values(training).flat(),
    ...training,
  })) {
    if (values.length === 0) continue;
    const sorted = values.sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(1);
    console.log(
      `${what.padEnd(9)} ${sorted.length} turns: p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)} ms late`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
