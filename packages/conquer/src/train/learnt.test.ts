import type { Summary } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { howLittleWasLearnt, whetherLearnt, whyRecallCannotTell } from './learnt.js';

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

describe('whyRecallCannotTell', () => {
  const run = (
    before: [number, number],
    best: [number, number],
    error = 0.01,
    chosenBy = 'R@1',
  ): Summary => ({
    ...summary(0, 0, 1000),
    best: {
      ...{ epoch: 0, chosenOn: 'test', chosenBy },
      metrics: { 'R@1': best[0], 'R@1 SE': error, 'MAP@R': best[1] },
    },
    untrained: { 'R@1': before[0], 'MAP@R': before[1] },
  });

  it('is where R@1 is near its end and MAP@R is not', () => {
    expect(whyRecallCannotTell(run([0.936, 0.364], [0.922, 0.402]))).toBe(
      'R@1 is 0.9220 and so near its end, MAP@R 0.4020 (0.3640 before training)',
    );
    expect(whyRecallCannotTell(run([0.9, 0.6], [0.95, 0.8], 0.001))).toBe(null);
    expect(whyRecallCannotTell(run([0.8, 0.2], [0.89, 0.4], 0.001))).toBe(null);
  });

  it('is where R@1 moved within its error over classes, and MAP@R did not', () => {
    const within = run([0.5, 0.2], [0.51, 0.3], 0.02);
    expect(whyRecallCannotTell(within)).toMatch(
      /^R@1 went from 0\.5000 to 0\.5100, by less than .* \(0\.0200\)/,
    );
    expect(whyRecallCannotTell(run([0.5, 0.2], [0.51, 0.3], 0.005))).toBe(null);
    expect(whyRecallCannotTell(run([0.5, 0.2], [0.51, 0.201], 0.02))).toBe(null);
    expect(whyRecallCannotTell({ ...within, untrained: null })).toBe(null);
  });

  it('stands in the place of a verdict by R@1, and of none by another metric', () => {
    expect(howLittleWasLearnt(run([0.936, 0.364], [0.922, 0.402]))).toMatch(
      /^R@1 cannot tell whether the run learnt: .*; choose by MAP@R \(evaluate\.bestBy\)$/,
    );
    expect(howLittleWasLearnt(run([0.936, 0.364], [0.922, 0.402], 0.01, 'MAP@R'))).toBe(null);
    expect(howLittleWasLearnt(run([0.936, 0.402], [0.922, 0.364], 0.01, 'MAP@R'))).toMatch(
      /^the run did not learn: MAP@R/,
    );
    expect(howLittleWasLearnt(run([0.936, 0.402], [0.922, 0.403], 0.01, 'MAP@R'))).toMatch(
      /^the run may not have learnt: MAP@R was 0\.4020 .* within the standard error that it may have, 0\.0155/,
    );
  });
});
