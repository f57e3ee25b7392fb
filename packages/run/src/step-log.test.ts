import { expect, it, vi } from 'vitest';
import type { StepRecord } from './records/step.js';
import { StepLog } from './step-log.js';

const trained = (metricLoss: number) => ({ metricLoss, maskLoss: 0.5, skipped: null });
const skipped = { metricLoss: null, maskLoss: null, skipped: 'why' };

it('writes means about every second, and at the end of an epoch', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const lines: StepRecord[] = [];
  const log = new StepLog((line) => lines.push(line));
  const at = (step: number) => ({ epoch: 1, step, steps: 5, images: 8 });
  vi.advanceTimersByTime(500);
  log.add(at(0), trained(1));
  vi.advanceTimersByTime(600);
  log.add(at(1), trained(2));
  log.add(at(2), skipped);
  log.add(at(3), trained(4));
  vi.advanceTimersByTime(100);
  log.add(at(4), trained(6));
  vi.useRealTimers();
  expect(lines).toEqual([
    { epoch: 1, step: 1, steps: 5, metricLoss: 1.5, maskLoss: 0.5, imagesPerSecond: 16 / 1.1, skipped: 0 },
    { epoch: 1, step: 4, steps: 5, metricLoss: 5, maskLoss: 0.5, imagesPerSecond: 240, skipped: 1 },
  ]);
});

it('says so when every step was skipped', () => {
  const lines: StepRecord[] = [];
  new StepLog((line) => lines.push(line)).add({ epoch: 0, step: 0, steps: 1, images: 4 }, skipped);
  expect(lines[0]).toMatchObject({ metricLoss: null, maskLoss: null, skipped: 1 });
});
