import { readFileSync } from 'node:fs';
import { RunFolder } from '@conquer-dml/run';
import { disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';

// A run of seconds through the program, for tests that cut it off.

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
  'warmup-epochs': '1.5',
  'layer-decay': '0.8',
  'clip-norm': '1',
  'ema-decay': '0.95',
  'drop-path': '0.2',
  'num-learners': '4',
  'divide-from': '0',
  'mod-epoch': '1',
  'force-full-embedding-epoch': '3',
  'passes-per-epoch': '3',
  epochs: '4',
  cache: 'yes',
  threads: '1',
}).flatMap(([name, value]) => [`--${name}`, value]);

/** Everything a run came to, without clocks: metrics, divisions, masks, weights, moments, random states. */
export function outcome(path: string) {
  const run = RunFolder.open(path);
  const checkpoint = loadCheckpoint(run.lastCheckpoint);
  const { model, trained = new Map(), loss, optimizer } = checkpoint;
  const tensors = [model, trained, loss, optimizer].map((part) =>
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
