import { expect, it } from 'vitest';
import { bestEpoch, choosingMetricOf } from './best-epoch.js';
import { divisionOf } from './division.js';
import { epochRecordOf } from './epoch.js';
import { maskRecordOf } from './masks.js';
import { settingsOf } from './settings.js';
import { stepRecordOf } from './step.js';
import { summaryOf } from './summary.js';

const read = <T>(recordOf: (value: unknown) => T, text: string) => recordOf(JSON.parse(text));

it('a metric that was NaN is left out; what is no metric makes the line damaged', () => {
  const line = '{"epoch":0,"metrics":{"R@1":0.5,"NMI":null},"metricLoss":null,"images":8,"later":1}';
  expect(read(epochRecordOf, line)).toEqual({ epoch: 0, metrics: { 'R@1': 0.5 }, images: 8, seconds: {} });
  for (const metrics of ['{"R@1":"0.5"}', '0.5', '[0.5]'])
    expect(read(epochRecordOf, `{"epoch":0,"metrics":${metrics}}`)).toBeNull();
  for (const epoch of ['"0"', '0.5', '-2', 'null'])
    expect(read(epochRecordOf, `{"epoch":${epoch}}`)).toBeNull();
});

it('a profile is all there or none', () => {
  const step = { data: 1, forward: 1, mining: 1, loss: 1, backward: 1, optimizer: 1, other: 1 };
  const profile = { steps: 2, step, epoch: { train: 1, divide: 1, embed: 1, evaluate: 1 } };
  expect(epochRecordOf({ epoch: 0, profile })?.profile).toEqual(profile);
  expect(epochRecordOf({ epoch: 0, profile: { ...profile, step: { data: 1 } } })).not.toHaveProperty(
    'profile',
  );
});

it('names become properties of their own, whatever they are', () => {
  const record = read(epochRecordOf, '{"epoch":0,"metrics":{"__proto__":1,"R@1":0.5}}');
  expect(Object.entries(record?.metrics ?? {})).toEqual([
    ['__proto__', 1],
    ['R@1', 0.5],
  ]);
});

it('a step needs its place', () => {
  const line = { epoch: 1, step: 2, steps: 5, metricLoss: 'x', skipped: 1 };
  const unknown = { metricLoss: null, maskLoss: null, imagesPerSecond: null };
  expect(stepRecordOf(line)).toEqual({ epoch: 1, step: 2, steps: 5, ...unknown, skipped: 1 });
  expect(stepRecordOf({ ...line, steps: 0 })).toBeNull();
});

it('a division has as many sizes as clusters, and no image in another', () => {
  const line = { epoch: 0, numClusters: 2, sizes: [2, 1], classCounts: [1, 1], clusters: [0, 0, 1, -1] };
  const rest = { sizes: [2, 1], classCounts: [1, 1], leftOut: 0, moved: 0, notes: [] };
  expect(divisionOf(line)).toEqual({
    epoch: 0,
    numClusters: 2,
    ...rest,
    clusters: Int32Array.of(0, 0, 1, -1),
  });
  expect(divisionOf({ ...line, clusters: [2] })).toBeNull();
  expect(divisionOf({ ...line, sizes: [3] })).toBeNull();
});

it('masks are of one length', () => {
  expect(maskRecordOf({ epoch: 0, masks: [[1, 0]] })?.masks).toEqual([Float32Array.of(1, 0)]);
  expect(maskRecordOf({ epoch: 0, masks: [[1], [1, 0]] })).toBeNull();
  expect(maskRecordOf({ epoch: 0, masks: [[]] })).toBeNull();
});

it('settings are told from what is none', () => {
  const experiment = {
    data: { cache: true, dataset: null },
    loss: { name: 'margin' },
    model: { widths: [8, 16] },
  };
  expect(settingsOf({ format: 3, ...experiment })).toEqual({
    'data.cache': true,
    'data.dataset': null,
    'loss.name': 'margin',
    'model.widths': '8,16',
  });
  expect(settingsOf({ 'num-learners': 4, cache: 'yes' })).toEqual({
    'data.cache': true,
    'divide.numLearners': 4,
  });
  expect(settingsOf([1])).toBeNull();
});

it('a summary comes back as it was written', () => {
  const best = { epoch: 1, metrics: { 'R@1': 0.5 }, chosenOn: 'validation', chosenBy: 'NMI', validation: {} };
  const seconds = { divide: 1, train: 2, evaluate: 3, total: 7 };
  const rest = { epochs: 2, queries: 9, imagesPerSecond: 4, untrained: null, last: null };
  const summary = {
    status: 'finished',
    experiment: { format: 3, optimize: { learningRate: 1 } },
    best,
    seconds,
    ...rest,
  };
  const read = { ...summary, experiment: { optimize: { learningRate: 1 } } };
  expect(summaryOf({ ...summary, checkpoints: {} })).toEqual(read);
  expect(summaryOf({ ...summary, status: 'over' })).toBeNull();
});

it('the best epoch is the first of the highest score, on validation classes where there are some', () => {
  const records = [
    { epoch: -1, metrics: { 'R@1': 0.9 } },
    { epoch: 0, metrics: { 'R@1': 0.5 } },
    { epoch: 1, metrics: null },
    { epoch: 2, metrics: { 'R@1': 0.1 }, validation: { 'R@1': 0.6 } },
    { epoch: 3, metrics: { 'R@1': 0.2 }, validation: { 'R@1': 0.6 } },
  ];
  expect(bestEpoch(records, choosingMetricOf({}))).toMatchObject({ epoch: 2, chosenOn: 'validation' });
  expect(bestEpoch(records.slice(0, 2), 'NMI')).toMatchObject({
    epoch: 0,
    chosenOn: 'test',
    chosenBy: 'NMI',
  });
  expect(bestEpoch(records.slice(0, 1), 'R@1')).toBeNull();
});
