import type { StepRecord } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import type { RunDetail } from '../../src/api.js';
import { charts, marks, recallNames, smoothed } from './curves.js';
import { appended } from './session.svelte.js';

const step = (epoch: number, at: number, metricLoss: number | null): StepRecord => ({
  epoch,
  step: at,
  steps: 4,
  metricLoss,
  maskLoss: 0,
  imagesPerSecond: 10,
  skipped: 0,
});

const run: RunDetail = {
  id: 'a',
  name: 'a',
  status: 'running',
  epochs: 2,
  of: 3,
  best: null,
  settings: {},
  updated: 0,
  problems: [],
  records: [
    { epoch: -1, metrics: { 'R@1': 0.1, 'R@10': 0.4, 'R@2': 0.2, NMI: 0.3 }, seconds: {} },
    { epoch: 0, metrics: null, steps: 4, learningRates: { backbone: 0.01, loss: 0 }, seconds: {} },
    { epoch: 1, metrics: { 'R@1': 0.3, 'R@10': 0.5, 'R@2': 0.4, NMI: 0.4 }, steps: 4, seconds: {} },
  ],
  epochSteps: [{ epoch: 0, steps: 4 }],
  steps: [step(0, 1, 4), step(0, 3, 3), step(1, 1, null), step(1, 3, 1)],
  divisions: [
    { epoch: 0, numClusters: 1, sizes: [9], classCounts: [3], leftOut: 0, moved: 0, notes: [] },
    { epoch: 1, numClusters: 2, sizes: [5, 4], classCounts: [2, 1], leftOut: 0, moved: 0, notes: [] },
  ],
  divisionsBefore: 0,
  flows: [],
  tree: { levels: [], links: [] },
  lines: { records: 3, steps: 4, divisions: 2, masks: 0 },
  has: { masks: false, embedding: false },
};
const options = { axis: 'epoch', recalls: ['R@1'], colourOf: () => '#000000' } as const;
const chart = (id: string, runs: RunDetail[], axis: 'epoch' | 'step' = 'epoch') =>
  charts(runs, { ...options, axis }).find((one) => one.id === id)?.series ?? [];

describe('charts', () => {
  it('place steps within their epoch, and what is measured after an epoch at its end', () => {
    expect(chart('metric-loss', [run])[0]).toMatchObject({
      x: [0, 0.5, 1, 1.5, 2],
      y: [null, 4, 3, null, 1],
    });
    expect(chart('recall', [run])[0]).toMatchObject({ x: [0, 1, 2], y: [0.1, null, 0.3] });
  });

  it('count steps over all epochs', () => {
    expect(chart('metric-loss', [run], 'step')[0]?.x).toEqual([0, 2, 4, 6, 8]);
    expect(chart('nmi', [run], 'step')[0]?.x).toEqual([0, 4, 8]);
    expect(marks(run, { ...options, axis: 'step' }).map(({ x, learners }) => [x, learners])).toEqual([
      [0, 1],
      [4, 2],
    ]);
  });

  it('leave out what is not there', () => {
    const ids = charts([{ ...run, steps: [] }], options).map(({ id }) => id);
    expect(ids).toEqual(['recall', 'nmi', 'learning-rates']);
    // A rate of 0 has no logarithm.
    expect(chart('learning-rates', [run]).map(({ name }) => name)).toEqual(['backbone']);
  });

  it('draw lines of runs that lie on each other in turns', () => {
    const other = { ...run, id: 'b', name: 'b' };
    const third = { ...run, id: 'c', name: 'c', records: run.records.slice(0, 1) };
    const colourOf = (id: string) => id;
    const nmi = (runs: RunDetail[]) =>
      charts(runs, { ...options, colourOf }).find(({ id }) => id === 'nmi')?.series ?? [];
    const lines = nmi([run, other, third]);
    expect(lines.map(({ dash, liesOn }) => [dash, liesOn])).toEqual([
      [[], null],
      [[14, 7], 'a'],
      [[7, 14], 'a'],
    ]);
    const far = { ...other, records: run.records.map((record) => ({ ...record, metrics: { NMI: 0.9 } })) };
    expect(nmi([run, far]).map(({ liesOn }) => liesOn)).toEqual([null, null]);
  });

  it('mark of many divisions those that change the number of learners', () => {
    const many = {
      ...run,
      divisionsBefore: 5000,
      tree: {
        levels: [1, 2].map((numLearners, i) => ({
          numLearners,
          fromEpoch: 4 * i,
          toEpoch: 0,
          sizes: [],
          classCounts: [],
        })),
        links: [],
      },
    };
    expect(marks(many, options).map(({ x, learners }) => [x, learners])).toEqual([
      [0, 1],
      [4, 2],
    ]);
  });

  it('name the run where several are laid over each other', () => {
    expect(chart('nmi', [run, { ...run, id: 'b', name: 'b' }]).map(({ label }) => label)).toEqual([
      'a: NMI',
      'b: NMI',
    ]);
    expect(recallNames([run])).toEqual(['R@1', 'R@2', 'R@10']);
  });
});

describe('smoothed', () => {
  it('is a moving average without a pull to 0 at the beginning', () => {
    expect(smoothed([4, 4, null, 4], 0.9)).toEqual(
      [4, 4, null, 4].map((v) => (v === null ? null : expect.closeTo(v, 12))),
    );
    expect(smoothed([0, 1], 0.5)[1]).toBeCloseTo((0.5 * 0 + 1) / 1.5, 12);
    expect(smoothed([3, 1, 2], 0)).toEqual([3, 1, 2]);
  });
});

describe('appended', () => {
  const event = { type: 'append', run: 'a' } as const;

  it('takes only lines that are not known yet', () => {
    const lines = [step(1, 3, 1), step(2, 1, 0.5)];
    const next = appended(run, { ...event, steps: { at: 3, lines } });
    expect(next?.steps).toEqual([...run.steps, lines[1]]);
    expect(next?.lines.steps).toBe(5);
  });

  it('asks for all anew where the server has to thin out a long run', () => {
    const lines = Array.from({ length: 10_001 }, (_, i) => step(2 + Math.floor(i / 4), i % 4, 1));
    expect(appended(run, { ...event, steps: { at: 4, lines } })).toBeNull();
  });

  it('notes epochs of another number of steps', () => {
    const lines = [{ ...step(2, 1, 1), steps: 5 }];
    expect(appended(run, { ...event, steps: { at: 4, lines } })?.epochSteps).toEqual([
      { epoch: 0, steps: 4 },
      { epoch: 2, steps: 5 },
    ]);
  });

  it('asks for all anew after a gap, or where flows change too', () => {
    expect(appended(run, { ...event, records: { at: 5, lines: [] } })).toBeNull();
    expect(appended(run, { ...event, divisions: { at: 2, lines: [] } })).toBeNull();
  });
});
