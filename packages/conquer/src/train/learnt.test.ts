import type { Summary } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { whetherLearnt } from './learnt.js';

const summary = (before: number, best: number, queries = 100, chosenBy = 'R@1'): Summary => ({
  status: 'finished',
  experiment: {},
  epochs: 2,
  best: { epoch: 0, metrics: { [chosenBy]: best }, chosenOn: 'test', chosenBy },
  last: null,
  untrained: { [chosenBy]: before },
  queries,
  seconds: { divide: 0, train: 1, evaluate: 1, total: 2 },
  imagesPerSecond: 1,
  checkpoints: { best: 'best', last: 'last' },
});

describe('whetherLearnt', () => {
  it('takes more than the standard error of the best epoch', () => {
    expect(whetherLearnt(summary(0.5, 0.5))).toEqual({
      metric: 'R@1',
      before: 0.5,
      best: 0.5,
      standardError: 0.05,
      better: false,
    });
    expect(whetherLearnt(summary(0.5, 0.549))?.better).toBe(false);
    expect(whetherLearnt(summary(0.5, 0.551))?.better).toBe(true);
    expect(whetherLearnt(summary(0.5, 0.51, 10_000))?.better).toBe(true);
    expect(whetherLearnt(summary(0.6, 0.5))?.better).toBe(false);
  });

  it('goes by the metric that the best epoch was chosen by', () => {
    expect(whetherLearnt(summary(0.1, 0.4, 100, 'MAP@R'))).toMatchObject({ metric: 'MAP@R', better: true });
  });

  it('says nothing where nothing was measured', () => {
    expect(whetherLearnt({ ...summary(0.5, 0.6), untrained: null })).toBe(null);
    expect(whetherLearnt({ ...summary(0.5, 0.6), best: null, queries: 0 })).toBe(null);
  });
});
