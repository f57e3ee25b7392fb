import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Generator } from '@conquer/torch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../random.js';
import { modelOf, openDatasetOf, optimizerOf, samplerOf } from './assemble.js';
import { lossOf } from './assemble-loss.js';
import { learningRateOf } from './learning-rate.js';
import { resolveSettings } from './options.js';

const small = { arch: 'small-resnet', widths: '4,8', 'embedding-dim': 6 };

describe('the optimiser', () => {
  /** Its groups by name, with the settings that steps use. */
  async function groups(flags: Record<string, unknown>) {
    const settings = resolveSettings(small, flags);
    using model = await modelOf(settings, new Generator(1), new Generator(1), process.stderr);
    const loss = lossOf(settings, 3, new Generator(1));
    const optimizer = optimizerOf(settings, model, loss, process.stderr);
    const state = optimizer.stateDict();
    const rates = optimizer.currentLearningRates();
    optimizer.dispose();
    loss.dispose();
    return { state, rates };
  }
  const group = async (flags: Record<string, unknown>, name: string) =>
    (await groups(flags)).state.groups.find((one) => one.name === name)?.options;

  it('has a learning rate and a weight decay for each part', async () => {
    const { rates } = await groups({
      lr: 0.1,
      'embedding-lr-mult': 2,
      'mask-lr-mult': 3,
      'loss-lr': 0.7,
    });
    expect(rates).toMatchObject({ backbone: 0.1, embedding: 0.2, loss: 0.7 });
    expect(rates.masks).toBeCloseTo(0.3, 12);
    const decay = { 'weight-decay': 0.5, 'mask-wd-mult': 4 };
    expect(await group(decay, 'backbone')).toMatchObject({ weightDecay: 0.5 });
    expect(await group(decay, 'masks')).toMatchObject({ weightDecay: 2 });
  });

  it('takes its algorithm, its moments and what it leaves undecayed', async () => {
    expect(await group({ 'adam-beta2': 0.9 }, 'backbone')).toMatchObject({ betas: [0.9, 0.9] });
    expect(await group({ optimizer: 'sgd' }, 'backbone')).toMatchObject({ momentum: 0.9, nesterov: false });
    const names = async (flags: Record<string, unknown>) =>
      (await groups(flags)).state.groups.map(({ name }) => name);
    expect(await names({})).not.toContain('backbone.vectors');
    expect(await names({ 'decay-vectors': 'no' })).toContain('backbone.vectors');
  });
});

describe('the learning rate', () => {
  const at = (epoch: number, flags: Record<string, unknown>) =>
    learningRateOf(resolveSettings({ epochs: 10, ...flags }))(epoch);

  it('follows its schedule', () => {
    expect([0, 5, 9].map((epoch) => at(epoch, {}))).toEqual([1, 1, 1]);
    const step = { 'lr-schedule': 'step', 'lr-step': 4, 'lr-gamma': 0.5 };
    expect([0, 3.9, 4, 8].map((epoch) => at(epoch, step))).toEqual([1, 1, 0.5, 0.25]);
    expect(at(5, { 'lr-schedule': 'cosine' })).toBeCloseTo(0.5, 12);
    const cycle = (peak: number, epoch: number) => at(epoch, { 'lr-schedule': 'one-cycle', 'lr-peak': peak });
    expect(cycle(0.3, 3)).toBeCloseTo(1, 2);
    expect(cycle(0.6, 6)).toBeCloseTo(1, 2);
    expect(cycle(0.6, 3)).toBeLessThan(0.9);
  });

  it('warms up', () => {
    const warm = { 'warmup-epochs': 2, 'lr-schedule': 'cosine' };
    // From a third, as PyTorch's LinearLR.
    expect(at(0, warm)).toBeCloseTo(1 / 3, 12);
    expect(at(1, warm)).toBeCloseTo(2 / 3, 12);
    expect(at(2, warm)).toBeCloseTo(1, 6);
    expect(at(6, warm)).toBeCloseTo(0.5, 6);
    // What follows the warm-up ends with the training.
    expect(at(9.999, { 'warmup-epochs': 2, 'lr-schedule': 'one-cycle' })).toBeLessThan(1e-4);
  });

  it('has a schedule of its own after the first division where it has a rate of its own', () => {
    const divided = { lr: 0.004, 'lr-schedule': 'one-cycle', 'divide-from': 6, 'divide-lr': 0.002 };
    const before = (epoch: number) => at(epoch, { epochs: 6, 'lr-schedule': 'one-cycle' });
    expect([0, 2, 5.9].map((epoch) => at(epoch, divided))).toEqual([0, 2, 5.9].map(before));
    expect([6, 8, 9.9999].map((epoch) => at(epoch, divided))).toEqual([
      0.5,
      expect.closeTo(0.25, 12),
      expect.closeTo(0, 8),
    ]);
    expect(at(9, { ...divided, 'divide-lr-schedule': 'constant' })).toBe(0.5);
    // Without a rate of its own the schedule that there is goes on.
    expect(at(8, { ...divided, 'divide-lr': null })).toBe(at(8, { lr: 0.004, 'lr-schedule': 'one-cycle' }));
    expect(() => at(0, { 'divide-lr': 0.002 })).toThrow(/--divide-lr: .* expected epochs before it/);
    expect(() => at(0, { lr: 0, 'divide-from': 2, 'divide-lr': 0.002 })).toThrow(/a learning rate above 0/);
  });
});

it('the loss and the network take their own', async () => {
  const open = (flags: Record<string, unknown>) =>
    modelOf(resolveSettings(small, flags), new Generator(1), new Generator(1), process.stderr);
  using avg = await open({});
  using max = await open({ 'features-pooling': 'max', 'features-dropout': 0.4 });
  expect([avg.pooling, max.pooling, max.featuresDropout.p]).toEqual(['avg', 'max', 0.4]);
  using drawn = await open({ 'mask-init': 'normal' });
  expect(new Set(avg.masks[0]?.toNumbers())).toEqual(new Set([1]));
  expect(new Set(drawn.masks[0]?.toNumbers()).size).toBe(6);
  const softmax = lossOf(
    resolveSettings({ loss: 'normalized-softmax', 'label-smoothing': 0.1, temperature: 0.3 }),
    3,
    new Generator(1),
  );
  expect(softmax).toMatchObject({ labelSmoothing: 0.1, temperature: 0.3 });
  softmax.dispose();
});

it('an epoch goes through the images --passes-per-epoch times', () => {
  const labels = Int32Array.from({ length: 40 }, (_, i) => Math.floor(i / 4));
  const batches = (flags: Record<string, unknown>) =>
    samplerOf(resolveSettings({ 'batch-size': 8, 'samples-per-class': 2, ...flags }))(
      Int32Array.from(labels.keys()),
      labels,
      new Random(1),
    );
  const [once, thrice] = [batches({}), batches({ 'passes-per-epoch': 3 })];
  expect(thrice.length).toBe(3 * once.length);
  expect([...thrice]).toHaveLength(3 * [...once].length);
});

describe('the classes', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'conquer-classes-'));
    for (let c = 0; c < 20; c++) {
      mkdirSync(join(folder, `class-${c}`));
      // Only looked at when they are decoded.
      for (const name of ['a.png', 'b.png']) writeFileSync(join(folder, `class-${c}`, name), 'x');
    }
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are split, thinned and set aside as asked', async () => {
    const open = (flags: Record<string, unknown>) =>
      openDatasetOf(resolveSettings({ dataset: 'folder', 'dataset-dir': folder, ...flags }), process.stderr);
    const counts = async (flags: Record<string, unknown>) => {
      const { train, validation, test } = await open(flags);
      return [train, validation, test].map((split) => split?.classNames.length ?? 0);
    };
    expect(await counts({})).toEqual([10, 0, 10]);
    expect(await counts({ 'class-ratio': 0.5 })).toEqual([5, 0, 5]);
    expect(await counts({ 'val-fraction': 0.3 })).toEqual([7, 3, 10]);
    expect(await counts({ 'val-fraction': 0.3, 'class-ratio': 0.5 })).toEqual([3, 2, 5]);
    expect(await counts({ split: 'random', 'train-fraction': 0.7 })).toEqual([14, 0, 6]);
    const names = async (flags: Record<string, unknown>) => (await open(flags)).train.classNames;
    expect(await names({ split: 'random', seed: 1 })).not.toEqual(await names({ split: 'random', seed: 2 }));
  });
});
