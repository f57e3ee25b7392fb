import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RunFolder } from '@conquer/run';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';

// A run of seconds through the program as it is installed (dist/ must be current), for tests that cut it off.

const program = fileURLToPath(new URL('../../bin/conquer.js', import.meta.url));

/** One thread: then sums have one order, and numbers one value. */
export const smallRun = Object.entries({
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

/** `folder`/images: sixteen classes, discs of as many colours, of different size and place. */
export function writeDiscs(folder: string, perClass = 8): void {
  for (let label = 0; label < 16; label++) {
    const images = join(folder, 'images', `class-${String(label).padStart(2, '0')}`);
    mkdirSync(images, { recursive: true });
    for (let image = 0; image < perClass; image++) {
      const [x, y, r] = [10 + (image % 8), 20 - (image % 8), 5 + (image % 9)];
      const disc = `<circle cx="${x}" cy="${y}" r="${r}" fill="hsl(${label * 22},90%,${40 + (image % 20)}%)"/>`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32">${disc}</svg>`;
      writeFileSync(join(images, `${image}.svg`), svg);
    }
  }
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Seconds. */
  took: number;
  /** Seconds since the line that announces the run. */
  worked: number;
}

export interface ProgramOptions {
  folder: string;
  /** A shell command that comes first, such as `ulimit -f 100`. */
  before?: string;
  /** Called with everything that was printed so far, whenever it became more. */
  onOutput?: (text: string, child: ChildProcess) => void;
  /** Called when the run has been announced. */
  onAnnounced?: (child: ChildProcess) => void;
  onStart?: (child: ChildProcess) => void;
}

/** Runs `conquer` in a folder until it ends; its cache is there too. */
export function conquer(args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const { folder, before, onOutput, onAnnounced, onStart } = options;
  const start = performance.now();
  const [command, ...rest] = before
    ? ['bash', '-c', `${before}; exec "$@"`, 'bash', process.execPath, program, ...args]
    : [process.execPath, program, ...args];
  const child = spawn(command!, rest, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CONQUER_CACHE: join(folder, 'cache') },
  });
  onStart?.(child);
  let [stdout, stderr] = ['', ''];
  let announced = 0;
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    onOutput?.(stderr, child);
    if (announced === 0 && stderr.includes('run folder')) {
      announced = performance.now();
      onAnnounced?.(child);
    }
  });
  return new Promise((resolve) =>
    child.on('close', (code, signal) => {
      const seconds = (since: number) => (performance.now() - since) / 1000;
      resolve({ code, signal, stdout, stderr, took: seconds(start), worked: seconds(announced) });
    }),
  );
}

/** Everything a run came to, without clocks: metrics, divisions, masks, weights, moments, random states. */
export function outcome(path: string) {
  const run = RunFolder.open(path);
  const checkpoint = loadCheckpoint(run.lastCheckpoint);
  const tensors = [checkpoint.model, checkpoint.loss, checkpoint.optimizer].map((part) =>
    [...part].map(([name, value]) => [name, Buffer.from(value.toTypedArray().buffer).toString('base64')]),
  );
  disposeCheckpoint(checkpoint);
  const { seconds: _, experiment: __, ...state } = checkpoint.state;
  const ends = run.steps().filter(({ step, steps }) => step === steps - 1);
  return {
    epochs: run.epochs().map(({ seconds, ...record }) => record),
    divisions: run.divisions(),
    masks: run.masks(),
    steps: ends.map(({ epoch }) => epoch),
    tensors,
    state,
    best: readFileSync(run.embeddingsFile, 'base64'),
  };
}
