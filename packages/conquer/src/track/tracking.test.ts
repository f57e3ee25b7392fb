import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { undivided } from '../divide/division.js';
import { type EpochRecord, RunFolder } from '../train/run-folder.js';
import type { Tracker } from './tracker.js';
import { Tracking } from './tracking.js';

let folder: string;
let run: RunFolder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-tracking-'));
  run = RunFolder.create(join(folder, 'mine'), { lr: 0.1 });
});
afterEach(() => rmSync(folder, { recursive: true }));

const record = (epoch: number, steps = 0): EpochRecord => ({
  epoch,
  metrics: { 'R@1': 0.5 },
  seconds: { evaluate: 1 },
  ...(epoch >= 0 && { steps, metricLoss: 0.3 }),
});
const result = { metricLoss: 0.5, maskLoss: 0, numTuples: 3, skipped: null };

/** Writes down what it is told. */
class Notes implements Tracker {
  readonly name = 'Notes';
  readonly told: string[] = [];
  retellsPast = false;
  async start({ name, settings, resumedAt }: Parameters<Tracker['start']>[0]) {
    this.told.push(`start ${name} ${JSON.stringify(settings)} at ${resumedAt}`);
  }
  async steps(_: unknown, step: number) {
    this.told.push(`steps until ${step}`);
  }
  async division({ epoch, numClusters }: { epoch: number; numClusters: number }, step: number) {
    this.told.push(`division of ${epoch} into ${numClusters} at ${step}`);
  }
  async epoch({ epoch }: EpochRecord, step: number) {
    this.told.push(`epoch ${epoch} at ${step}`);
  }
  async end(how: string) {
    this.told.push(how);
  }
}

function epochOf(tracking: Tracking, epoch: number, steps: number): void {
  tracking.onDivision(undivided(new Int32Array(4), epoch));
  tracking.onEpochStart({ steps });
  for (let step = 0; step < steps; step++) tracking.onStep({ epoch, step, images: 8, learner: 0, result });
  tracking.onEpochEnd(record(epoch, steps));
}

it('tells what a run does in order, with steps counted over the epochs', async () => {
  const notes = new Notes();
  const tracking = new Tracking(notes, { run, onWarning: () => expect.unreachable() });
  tracking.onEpochEnd(record(-1));
  epochOf(tracking, 0, 3);
  epochOf(tracking, 1, 2);
  await tracking.end('finished', null);
  expect(notes.told).toEqual([
    'start mine {"lr":0.1} at 0',
    'epoch -1 at 0',
    'division of 0 into 1 at 0',
    'steps until 3',
    'epoch 0 at 3',
    'division of 1 into 1 at 3',
    'steps until 5',
    'epoch 1 at 5',
    'finished',
  ]);
});

it('goes on where a resumed run was, or retells it for those who ask', async () => {
  run.appendEpoch(record(-1));
  run.appendDivision(undivided(new Int32Array(4), 0));
  run.appendSteps({
    epoch: 0,
    step: 2,
    steps: 3,
    metricLoss: 0.5,
    maskLoss: 0,
    imagesPerSecond: 9,
    skipped: 0,
  });
  run.appendEpoch(record(0, 3));
  for (const retellsPast of [false, true]) {
    const notes = new Notes();
    notes.retellsPast = retellsPast;
    const tracking = new Tracking(notes, { run, onWarning: () => expect.unreachable() });
    epochOf(tracking, 1, 2);
    await tracking.end('stopped', null);
    const past = ['epoch -1 at 0', 'division of 0 into 1 at 0', 'steps until 3', 'epoch 0 at 3'];
    expect(notes.told).toEqual([
      `start mine {"lr":0.1} at ${retellsPast ? 0 : 3}`,
      ...(retellsPast ? past : []),
      'division of 1 into 1 at 3',
      'steps until 5',
      'epoch 1 at 5',
      'stopped',
    ]);
  }
});

it.each(['start', 'epoch', 'end'] as const)(
  'a failure of %s is told once and stops nothing',
  async (method) => {
    const notes = new Notes();
    notes[method] = () => Promise.reject(new Error('the server is gone\nand more'));
    const warnings: string[] = [];
    const tracking = new Tracking(notes, { run, onWarning: (message) => warnings.push(message) });
    epochOf(tracking, 0, 1);
    epochOf(tracking, 1, 1);
    await tracking.end('finished', null);
    expect(warnings).toEqual(['Notes no longer follows the run, which goes on: the server is gone']);
  },
);

it('leaves steps out for a tracker that is slow, but no epoch', async () => {
  const notes = new Notes();
  let go = () => {};
  const slow = new Promise<void>((resolve) => {
    go = resolve;
  });
  notes.start = () => slow;
  const tracking = new Tracking(notes, { run, onWarning: () => expect.unreachable() });
  for (let epoch = 0; epoch < 400; epoch++) {
    tracking.onEpochStart({ steps: 1 });
    tracking.onStep({ epoch, step: 0, images: 8, learner: 0, result });
    if (epoch % 100 === 0) tracking.onEpochEnd(record(epoch, 1));
  }
  go();
  await tracking.end('finished', null);
  expect(notes.told.filter((line) => line.startsWith('epoch'))).toHaveLength(4);
  expect(notes.told.filter((line) => line.startsWith('steps')).length).toBeLessThan(210);
});
