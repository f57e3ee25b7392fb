import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Random } from '../random.js';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { RunFolder } from '../train/run-folder.js';
import { findRuns, readRun } from './runs.js';

// The program as it is installed, killed with SIGKILL at random moments; dist/ must be current. `npm run kill-test`
// kills 200 times, CONQUER_KILLS=n says how often. One thread: then sums have one order, and numbers one value.

const KILLS = Number(process.env.CONQUER_KILLS ?? 15);
const SEED = Number(process.env.CONQUER_KILL_SEED ?? 1);
const program = fileURLToPath(new URL('../../bin/conquer.js', import.meta.url));

const settings = Object.entries({
  dataset: 'folder',
  'dataset-dir': 'images',
  arch: 'small-resnet',
  widths: '16,32',
  bn: 'trained',
  'features-dropout': '0.1',
  'embedding-dim': '32',
  'image-size': '16',
  resize: '20',
  'batch-size': '12',
  'samples-per-class': '3',
  lr: '1e-3',
  'num-learners': '4',
  'mod-epoch': '1',
  'force-full-embedding-epoch': '3',
  'passes-per-epoch': '3',
  epochs: '4',
  cache: 'yes',
  threads: '1',
}).flatMap(([name, value]) => [`--${name}`, value]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-kill-'));
  for (let label = 0; label < 16; label++) {
    const images = join(folder, 'images', `class-${String(label).padStart(2, '0')}`);
    mkdirSync(images, { recursive: true });
    for (let image = 0; image < 8; image++) {
      const disc = `<circle cx="${10 + image}" cy="${20 - image}" r="${5 + image}" fill="hsl(${label * 22},90%,50%)"/>`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32">${disc}</svg>`;
      writeFileSync(join(images, `${image}.svg`), svg);
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  signal: NodeJS.Signals | null;
  code: number | null;
  stderr: string;
  /** Milliseconds from the line that announces the run to the end. */
  worked: number;
}

/** Runs the program; kills it so long after it started, or after it announced the run. */
function conquer(
  args: string[],
  kill?: { after: 'start' | 'announcement'; milliseconds: number },
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, CONQUER_CACHE: join(folder, 'cache') },
  });
  let stderr = '';
  let announced = 0;
  const timers: NodeJS.Timeout[] = [];
  const killIn = (ms: number) => timers.push(setTimeout(() => child.kill('SIGKILL'), ms));
  if (kill?.after === 'start') killIn(kill.milliseconds);
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    if (announced === 0 && stderr.includes('run folder')) {
      announced = performance.now();
      if (kill?.after === 'announcement') killIn(kill.milliseconds);
    }
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      for (const timer of timers) clearTimeout(timer);
      resolve({ code, signal, stderr, worked: performance.now() - announced });
    }),
  );
}

/** Everything a run came to, without clocks: metrics, divisions, masks, weights, moments, random states. */
function outcome(path: string) {
  const run = RunFolder.open(path);
  const { state, ...parts } = loadCheckpoint(run.lastCheckpoint);
  const tensors = [parts.model, parts.loss, parts.optimizer].map((part) =>
    [...part].map(([name, value]) => [name, Buffer.from(value.toTypedArray().buffer).toString('base64')]),
  );
  disposeCheckpoint({ state, ...parts });
  const { seconds: _, settings: __, ...rest } = state;
  return {
    epochs: run.epochs().map(({ seconds, ...record }) => record),
    divisions: run.divisions(),
    masks: run.masks(),
    steps: run
      .steps()
      .filter(({ step, steps }) => step === steps - 1)
      .map(({ epoch }) => epoch),
    tensors,
    state: rest,
    best: readFileSync(run.embeddingsFile, 'base64'),
  };
}

/** What a killed process leaves must be whole, or not be there under its own name. Returns where it was killed. */
function examine(path: string): string {
  if (!RunFolder.exists(path)) return 'before the run folder';
  const state = readRun(path);
  expect(findRuns([join(path, '..')])).toContain(path);
  const run = RunFolder.open(path);
  run.divisions();
  run.masks();
  run.steps();
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' });
  for (const name of files) {
    const file = join(path, name);
    if (name.startsWith('checkpoints') && name.endsWith('.safetensors') && !name.includes('.tmp'))
      disposeCheckpoint(loadCheckpoint(file));
    if (name.endsWith('.json')) JSON.parse(readFileSync(file, 'utf8'));
  }
  if (files.some((name) => name.endsWith('.tmp'))) return 'while a file was written';
  if (state.status === 'finished') return 'after the last epoch';
  const [epochs, divisions, steps] = [run.epochs(), run.divisions(), run.steps()];
  if (epochs.length === 0) return 'before the first evaluation ended';
  const last = epochs.at(-1)!.epoch;
  if (!existsSync(run.lastCheckpoint)) return last < 0 ? 'in the first epoch' : 'before the first checkpoint';
  const saved = loadCheckpoint(run.lastCheckpoint);
  disposeCheckpoint(saved);
  if (saved.state.epoch < last) return 'between the log and the checkpoint';
  if (divisions.at(-1)!.epoch <= last && last < 2) return 'while dividing';
  const step = steps.at(-1);
  return step && step.epoch > last && step.step === step.steps - 1 ? 'while evaluating' : 'while training';
}

it(
  `killed ${KILLS} times, runs go on and come to the same numbers, bit for bit`,
  async () => {
    const whole = await conquer(['train', ...settings, '--name', 'whole']);
    expect(whole.code, whole.stderr).toBe(0);
    const expected = outcome(join(folder, 'runs/whole'));
    expect(expected.epochs.map(({ numLearners }) => numLearners)).toEqual([undefined, 1, 2, 4, 4]);
    const random = new Random(SEED);
    const places = new Map<string, number>();
    let kills = 0;
    for (let chain = 0; kills < KILLS; chain++) {
      const name = `chain-${chain}`;
      const path = join(folder, 'runs', name);
      for (;;) {
        const args = RunFolder.exists(path)
          ? ['train', '--resume', `runs/${name}`]
          : ['train', ...settings, '--name', name];
        // Some while the program starts; most while it works, a little beyond the whole run's time too.
        const kill =
          random.int(8) === 0
            ? { after: 'start' as const, milliseconds: random.int(2000) }
            : { after: 'announcement' as const, milliseconds: random.int(Math.ceil(whole.worked)) };
        // The cache of decoded images is made anew now and then, and killed in the making.
        if (random.int(6) === 0) rmSync(join(folder, 'cache'), { recursive: true, force: true });
        const ended = await conquer(args, kills < KILLS ? kill : undefined);
        if (ended.signal === null) {
          expect(ended.code, ended.stderr).toBe(0);
          break;
        }
        kills++;
        const place = examine(path);
        places.set(place, (places.get(place) ?? 0) + 1);
        // Killed between the last file and the exit: there is nothing to go on with.
        if (RunFolder.exists(path) && RunFolder.open(path).summary()?.status === 'finished') break;
      }
      expect(outcome(path), `chain ${chain}`).toEqual(expected);
    }
    const listed = [...places].map(([place, count]) => `${count} ${place}`);
    console.log(`${kills} kills: ${listed.join(', ')}`);
    const packs = readdirSync(join(folder, 'cache', 'packs'));
    console.log(
      `cache: ${packs.filter((file) => file.endsWith('.part')).length} unfinished packs left behind`,
    );
  },
  Math.max(600_000, KILLS * 20_000),
);
