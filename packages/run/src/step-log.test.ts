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
  const common = { epoch: 1, steps: 5, maskLoss: 0.5, zeroLoss: 0 };
  expect(lines).toEqual([
    { ...common, step: 1, metricLoss: 1.5, imagesPerSecond: 16 / 1.1, skipped: 0 },
    { ...common, step: 4, metricLoss: 5, imagesPerSecond: 240, skipped: 1 },
  ]);
});

it('counts losses of 0, and the images that were the anchor of no tuple among those that were mined', () => {
  const lines: StepRecord[] = [];
  const log = new StepLog((line) => lines.push(line));
  const at = (step: number) => ({ epoch: 0, step, steps: 4, images: 8 });
  log.add(at(0), { ...trained(0), anchorsWithoutTuples: 2 });
  log.add(at(1), { ...trained(3), anchorsWithoutTuples: 0 });
  log.add(at(2), { ...skipped, anchorsWithoutTuples: 8 });
  log.add(at(3), { ...trained(3), anchorsWithoutTuples: null });
  expect(lines).toEqual([
    expect.objectContaining({ zeroLoss: 1, anchorsWithoutTuples: 10 / 24, skipped: 1, metricLoss: 2 }),
  ]);
});

it('says so when every step was skipped', () => {
  const lines: StepRecord[] = [];
  new StepLog((line) => lines.push(line)).add({ epoch: 0, step: 0, steps: 1, images: 4 }, skipped);
  expect(lines[0]).toMatchObject({ metricLoss: null, maskLoss: null, skipped: 1 });
});
