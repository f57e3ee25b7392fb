import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { smallRun } from '../testing/small-run.js';

// A training run that divides and evaluates five times, in a process of its own, as it is built.
// `npm run soak`: 2,000 steps. CONQUER_SOAK=n says how many.

const STEPS = Number(process.env.CONQUER_SOAK ?? 500);
const EPOCHS = 6;
/** Steps an epoch and pass: 8 classes of 8 images in batches of 12, by learner. */
const PASSES = Math.ceil(STEPS / EPOCHS / 5);

const built = (path: string) => JSON.stringify(new URL(path, import.meta.url));

/** Trains by the library and prints, after each epoch, resident memory and live tensors. */
const program = (experiment: string, run: string) => `
  import { liveTensors } from ${built('../../../torch/dist/index.js')};
  import { train } from ${built('../../dist/bundle/index.js')};
  let steps = 0;
  const onStep = () => { steps++; };
  const onEpochEnd = ({ epoch, numLearners }) => {
    const memory = process.memoryUsage();
    console.log(JSON.stringify({ epoch, steps, rss: memory.rss, heap: memory.heapUsed, alive: liveTensors(), learners: numLearners }));
  };
  await train(${experiment}, { run: ${JSON.stringify(run)}, observer: { onStep, onEpochEnd } });
`;

it(`${STEPS} steps with five divisions and evaluations keep the memory of the first evaluation`, async () => {
  const folder = temporaryFolder();
  writeDiscs(folder);
  const more = {
    'dataset-dir': join(folder, 'images'),
    widths: '32,64',
    'image-size': 32,
    resize: 32,
    hierarchy: 'none',
    'num-learners': 2,
    'mod-epoch': 1,
    'force-full-embedding-epoch': EPOCHS,
    'passes-per-epoch': PASSES,
    epochs: EPOCHS,
    threads: 2,
  };
  const script = join(folder, 'soak.mjs');
  const flags = Object.entries(more).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const asked = await conquer(['train', ...smallRun, ...flags, '--print-experiment'], { folder });
  expect(asked.code, asked.stderr).toBe(0);
  writeFileSync(script, program(asked.stdout, join(folder, 'runs', 'soak')));
  const child = spawn(process.execPath, [script], {
    env: { ...process.env, CONQUER_CACHE: join(folder, 'cache'), OMP_WAIT_POLICY: 'passive' },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code, stderr).toBe(0);
  const epochs = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { epoch: number; steps: number; rss: number; alive: number });
  for (const { epoch, steps, rss, alive } of epochs)
    console.log(`epoch ${epoch}: ${steps} steps, ${(rss / 2 ** 20).toFixed(0)} MiB, ${alive} tensors`);
  const trained = epochs.slice(1);
  expect(trained).toHaveLength(EPOCHS);
  expect(trained.at(-1)!.steps).toBeGreaterThan(0.8 * STEPS);
  expect(new Set(trained.map(({ alive }) => alive)).size).toBe(1);
  // The first evaluation of a trained epoch: by then libraries are loaded, and the moments are there.
  const level = trained[0]!.rss;
  for (const { rss } of trained) expect(rss / level).toBeLessThan(1.05);
}, 3_600_000);
