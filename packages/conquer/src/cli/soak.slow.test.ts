import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDiscs } from '@conquer/testing/pictures';
import { temporaryFolder } from '@conquer/testing/temporary-folder';
import { expect, it } from 'vitest';
import { smallRun } from '../testing/small-run.js';

// A training run that divides and evaluates five times, in a process of its own, as it is built.
// `npm run soak`: 2,000 steps. CONQUER_SOAK=n says how many.

const STEPS = Number(process.env.CONQUER_SOAK ?? 500);
const EPOCHS = 6;
/** Steps an epoch and pass: 8 classes of 8 images in batches of 12, by learner. */
const PASSES = Math.ceil(STEPS / EPOCHS / 5);

/** Trains by the library's own parts and prints, after each epoch, resident memory and live tensors. */
const program = (settings: Record<string, unknown>) => `
  import { liveTensors } from ${JSON.stringify(new URL('../../../torch/dist/index.js', import.meta.url))};
  import { resolveSettings } from ${JSON.stringify(new URL('../../dist/cli/options.js', import.meta.url))};
  import { runTraining } from ${JSON.stringify(new URL('../../dist/cli/train.js', import.meta.url))};
  import { TerminalObserver } from ${JSON.stringify(new URL('../../dist/cli/terminal.js', import.meta.url))};
  let steps = 0;
  const { onStep, onEpochEnd } = TerminalObserver.prototype;
  TerminalObserver.prototype.onStep = function (info) { steps++; return onStep.call(this, info); };
  TerminalObserver.prototype.onEpochEnd = function (record, best) {
    const memory = process.memoryUsage();
    console.log(JSON.stringify({ epoch: record.epoch, steps, rss: memory.rss, heap: memory.heapUsed, alive: liveTensors(), learners: record.numLearners }));
    return onEpochEnd.call(this, record, best);
  };
  await runTraining({ settings: resolveSettings(${JSON.stringify(settings)}), out: process.stderr });
`;

it(`${STEPS} steps with five divisions and evaluations keep the memory of the first evaluation`, async () => {
  const folder = temporaryFolder();
  writeDiscs(folder);
  const settings: Record<string, unknown> = Object.fromEntries(
    smallRun.flatMap((flag, i) => (i % 2 === 0 ? [[flag.slice(2), smallRun[i + 1]]] : [])),
  );
  const more = {
    'dataset-dir': join(folder, 'images'),
    'runs-dir': join(folder, 'runs'),
    name: 'soak',
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
  writeFileSync(script, program({ ...settings, ...more }));
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
