import type { EpochRecord, StepRecord } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { MAX_RECORDS, MAX_STEPS } from './api.js';
import { epochSteps, evenly, thinnedRecords, thinnedSteps } from './thinning.js';

const stepAt = (epoch: number, step: number, metricLoss: number | null): StepRecord => ({
  epoch,
  step,
  steps: 10,
  metricLoss,
  maskLoss: 0,
  imagesPerSecond: 1,
  skipped: 1,
});

describe('thinnedSteps', () => {
  it('holds to the limit however the steps lie in epochs, and keeps sums, means and the end', () => {
    for (const perEpoch of [1, 2, 10, 7001]) {
      const steps = Array.from({ length: 4 * MAX_STEPS + 1 }, (_, i) =>
        stepAt(Math.floor(i / perEpoch), i % perEpoch, i % 3 === 0 ? null : 2),
      );
      const thin = thinnedSteps(steps);
      expect(thin.length).toBeLessThanOrEqual(MAX_STEPS);
      expect(thin.length).toBeGreaterThan(MAX_STEPS / 2);
      expect(thin.every(({ metricLoss }) => metricLoss === 2)).toBe(true);
      expect(thin.reduce((sum, { skipped }) => sum + skipped, 0)).toBe(steps.length);
      expect(thin.at(-1)).toMatchObject({ epoch: steps.at(-1)?.epoch, step: steps.at(-1)?.step });
    }
    const few = [stepAt(0, 0, 1), stepAt(0, 1, 2)];
    expect(thinnedSteps(few)).toEqual(few);
  });
});

describe('thinnedRecords', () => {
  const recordsOf = (n: number) =>
    Array.from(
      { length: n },
      (_, i): EpochRecord => ({
        epoch: i - 1,
        metrics: i % 7 === 3 || i === 0 ? { 'R@1': i / n } : null,
        seconds: {},
      }),
    );

  it('holds to the limit, with the network before training, the best epoch and the last', () => {
    for (const n of [MAX_RECORDS + 1, 20_001, 123_457]) {
      const records = recordsOf(n);
      const thin = thinnedRecords(records, 4321);
      expect(thin.length).toBeLessThanOrEqual(MAX_RECORDS);
      expect(thin.length).toBeGreaterThan(MAX_RECORDS / 3);
      const epochs = thin.map(({ epoch }) => epoch);
      expect(epochs).toEqual([...epochs].sort((a, b) => a - b));
      if (n > 4322) expect(epochs).toContain(4321);
      expect([epochs[0], epochs.at(-1)]).toEqual([-1, n - 2]);
    }
    expect(thinnedRecords(recordsOf(5), 2)).toEqual(recordsOf(5));
  });

  it('prefers epochs that were evaluated', () => {
    const thin = thinnedRecords(recordsOf(20_001), null);
    expect(thin.filter(({ metrics }) => metrics === null).length).toBeLessThanOrEqual(1);
  });
});

it('evenly keeps the last', () => {
  expect(evenly([1, 2, 3, 4, 5, 6, 7], 3)).toEqual([1, 4, 7]);
  expect(evenly([1, 2], 3)).toEqual([1, 2]);
});

it('epochSteps notes where the number of steps changes', () => {
  const steps = new Map([
    [2, 5],
    [0, 4],
    [1, 4],
    [3, 4],
  ]);
  expect(epochSteps(steps)).toEqual([
    { epoch: 0, steps: 4 },
    { epoch: 2, steps: 5 },
    { epoch: 3, steps: 4 },
  ]);
});
