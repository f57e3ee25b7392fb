import { join } from 'node:path';
import { type EpochRecord, RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { undivided } from '../divide/division.js';
import type { Report } from './report.js';
import type { TrackedRun, Tracker } from './tracker.js';
import { Tracking } from './tracking.js';

let folder: string;
let run: RunFolder;
beforeEach(() => {
  folder = temporaryFolder();
  run = RunFolder.create(join(folder, 'mine'), { lr: 0.1 });
});

const record = (epoch: number, steps = 0): EpochRecord => ({
  epoch,
  metrics: { 'R@1': 0.5 },
  seconds: { evaluate: 1 },
  ...(epoch >= 0 && { steps, metricLoss: 0.3 }),
});
const stepRecord = (epoch: number, step: number, steps: number) => ({
  epoch,
  step,
  steps,
  metricLoss: 0.5,
  maskLoss: 0,
  imagesPerSecond: 9,
  skipped: 0,
});

/** Writes down what it is told. */
class Notes implements Tracker {
  readonly name = 'Notes';
  readonly told: string[] = [];
  async start({ name, settings, past, live }: TrackedRun) {
    this.told.push(`start ${name} ${JSON.stringify(settings)}${live ? '' : ', over'}`);
    for (const report of past) await this.report(report);
  }
  async report({ kind, record, step }: Report) {
    this.told.push(`${kind} of ${record.epoch} at ${step}`);
  }
  async end(how: string) {
    this.told.push(how);
  }
}

/** What the loop logs and tells of an epoch; of one that is stopped, `until` a step. */
function trainEpoch(
  tracking: Tracking | null,
  epoch: number,
  steps: number,
  { from = 0, until = steps } = {},
): void {
  if (from === 0) {
    const division = undivided(new Int32Array(4), epoch);
    run.appendDivision(division);
    tracking?.onDivision(division);
  }
  for (let step = from; step < until; step++) {
    const line = stepRecord(epoch, step, steps);
    run.appendSteps(line);
    tracking?.onSteps(line);
  }
  if (until < steps) return;
  run.appendEpoch(record(epoch, steps));
  tracking?.onEpochEnd(record(epoch, steps));
}

async function follow(work: (tracking: Tracking) => void): Promise<string[]> {
  const notes = new Notes();
  const tracking = new Tracking(notes, { run, onWarning: () => expect.unreachable() });
  tracking.onStart();
  work(tracking);
  await tracking.end('finished', null);
  return notes.told;
}

const uninterrupted = [
  'start mine {"lr":0.1}',
  'epoch of -1 at 0',
  'division of 0 at 0',
  'steps of 0 at 1',
  'steps of 0 at 2',
  'steps of 0 at 3',
  'epoch of 0 at 3',
  'division of 1 at 3',
  'steps of 1 at 4',
  'steps of 1 at 5',
  'epoch of 1 at 5',
  'finished',
];

it('tells what a run does in order, with steps counted over the epochs', async () => {
  const told = await follow((tracking) => {
    tracking.onEpochEnd(record(-1));
    trainEpoch(tracking, 0, 3);
    trainEpoch(tracking, 1, 2);
  });
  expect(told).toEqual(uninterrupted);
});

describe('a run that is resumed is told as one that was never stopped', () => {
  it('between two epochs', async () => {
    run.appendEpoch(record(-1));
    trainEpoch(null, 0, 3);
    expect(await follow((tracking) => trainEpoch(tracking, 1, 2))).toEqual(uninterrupted);
  });

  it('within an epoch', async () => {
    run.appendEpoch(record(-1));
    trainEpoch(null, 0, 3);
    trainEpoch(null, 1, 2, { until: 1 });
    run.rewindTo(0, { epoch: 1, step: 1 });
    expect(await follow((tracking) => trainEpoch(tracking, 1, 2, { from: 1 }))).toEqual(uninterrupted);
  });

  it('within the first epoch', async () => {
    run.appendEpoch(record(-1));
    trainEpoch(null, 0, 3, { until: 2 });
    run.rewindTo(-1, { epoch: 0, step: 2 });
    const told = await follow((tracking) => {
      trainEpoch(tracking, 0, 3, { from: 2 });
      trainEpoch(tracking, 1, 2);
    });
    expect(told).toEqual(uninterrupted);
  });

  it('from the checkpoint before the last', async () => {
    run.appendEpoch(record(-1));
    trainEpoch(null, 0, 3);
    trainEpoch(null, 1, 2);
    const notes = new Notes();
    const tracking = new Tracking(notes, { run, onWarning: () => expect.unreachable() });
    // The log is cut back after the trackers are there.
    run.rewindTo(0);
    tracking.onStart();
    trainEpoch(tracking, 1, 2);
    await tracking.end('finished', null);
    expect(notes.told).toEqual(uninterrupted);
  });
});

it('says nothing of a run that never began', async () => {
  const notes = new Notes();
  await new Tracking(notes, { run, onWarning: () => expect.unreachable() }).end('failed', null);
  expect(notes.told).toEqual([]);
});

it.each(['start', 'report', 'end'] as const)(
  'a failure of %s is told once and stops nothing',
  async (method) => {
    const notes = new Notes();
    notes[method] = () => Promise.reject(new Error('the server is gone\nand more'));
    const warnings: string[] = [];
    const tracking = new Tracking(notes, { run, onWarning: (message) => warnings.push(message) });
    tracking.onStart();
    trainEpoch(tracking, 0, 1);
    trainEpoch(tracking, 1, 1);
    await tracking.end('finished', null);
    expect(warnings).toEqual(['Notes no longer follows the run, which goes on: the server is gone']);
  },
);

it('leaves steps out for a tracker that is slow, but no epoch, and says so', async () => {
  const notes = new Notes();
  let go = () => {};
  const slow = new Promise<void>((resolve) => {
    go = resolve;
  });
  notes.start = () => slow;
  const warnings: string[] = [];
  const tracking = new Tracking(notes, { run, onWarning: (message) => warnings.push(message) });
  tracking.onStart();
  for (let epoch = 0; epoch < 400; epoch++) {
    tracking.onSteps(stepRecord(epoch, 0, 1));
    if (epoch % 100 === 0) tracking.onEpochEnd(record(epoch, 1));
  }
  go();
  await tracking.end('finished', null);
  expect(notes.told.filter((line) => line.startsWith('epoch'))).toHaveLength(4);
  const steps = notes.told.filter((line) => line.startsWith('steps')).length;
  expect(steps).toBeLessThan(210);
  expect(warnings).toEqual([
    `Notes was slower than the run: ${400 - steps} lines of steps were left out; conquer sync tells it of them`,
  ]);
});
