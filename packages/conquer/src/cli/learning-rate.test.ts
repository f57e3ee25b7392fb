import { expect, it } from 'vitest';
import { learningRateOf, withEpochs } from './learning-rate.js';
import { resolveSettings } from './options.js';

const run = (flags: Record<string, unknown> = {}) =>
  resolveSettings({ epochs: 6, 'lr-schedule': 'cosine', ...flags });

it('what is wrong with the learning rates is said of their flags', () => {
  expect(() => withEpochs(run(), 9, null, () => {})).toThrow(
    /^--lr-after: .* ends with epoch 6: say what they do/,
  );
  expect(() => learningRateOf(run({ 'lr-courses': '6+' }))).toThrow(/^--lr-courses: expected/);
  expect(() => learningRateOf(run({ 'divide-lr': 0.1 }))).toThrow(/^--divide-lr: .* got 0 epochs/);
});

it('more epochs are written into the settings', () => {
  const settings = withEpochs(run(), 9, 'hold', () => {});
  expect(settings).toEqual({ ...run(), epochs: 9, 'lr-after': 'hold', 'lr-courses': '6+h3' });
});
