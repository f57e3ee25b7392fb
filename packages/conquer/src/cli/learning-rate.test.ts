import { describe, expect, it } from 'vitest';
import { learningRateOf, withEpochs } from './learning-rate.js';
import { resolveSettings, type TrainSettings } from './options.js';

const run = (flags: Record<string, unknown> = {}) =>
  resolveSettings({ epochs: 6, 'lr-schedule': 'cosine', ...flags });
const rates = (settings: TrainSettings, epochs: readonly number[]) => epochs.map(learningRateOf(settings));
const halves = (from: number, to: number) => Array.from({ length: 2 * (to - from) }, (_, i) => from + i / 2);

function more(before: TrainSettings, epochs: number, after: TrainSettings['lr-after'] = null) {
  const notes: string[] = [];
  const settings = withEpochs(before, epochs, after, (text) => notes.push(text));
  return { settings, notes };
}

describe('more epochs than a schedule was laid out for', () => {
  it.each(['cosine', 'one-cycle'])('of %s are refused until it is said how they go', (schedule) => {
    expect(() => more(run({ 'lr-schedule': schedule }), 9)).toThrow(
      /ends with epoch 6: say what they do in epochs 7 to 9 by --lr-after restart .*, hold .* or stretch/,
    );
  });

  it.each(['cosine', 'one-cycle'])('of %s do what was chosen, and what was is what it was', (schedule) => {
    const before = run({ 'lr-schedule': schedule, 'warmup-epochs': 1 });
    const past = rates(before, halves(0, 6));

    const restart = more(before, 9, 'restart');
    expect(restart.notes).toEqual([expect.stringMatching(/epochs 7 to 9 follow the schedule .* once more/)]);
    expect(restart.settings).toMatchObject({ epochs: 9, 'lr-after': 'restart', 'lr-courses': '6+3' });
    expect(rates(restart.settings, halves(0, 6))).toEqual(past);
    const alone = run({ epochs: 3, 'lr-schedule': schedule, 'warmup-epochs': 1 });
    expect(rates(restart.settings, halves(6, 9))).toEqual(rates(alone, halves(0, 3)));

    const hold = more(before, 9, 'hold');
    expect(hold.notes).toEqual([
      expect.stringMatching(/epochs 7 to 9 stay what they are at the end of epoch 6/),
    ]);
    expect(hold.settings).toMatchObject({ epochs: 9, 'lr-after': 'hold', 'lr-courses': '6+h3' });
    expect(rates(hold.settings, halves(0, 6))).toEqual(past);
    expect(rates(hold.settings, halves(6, 9))).toEqual(halves(6, 9).map(() => null));

    const stretch = more(before, 9, 'stretch');
    expect(stretch.notes).toEqual([expect.stringMatching(/as in a run laid out for 9 epochs/)]);
    const whole = run({ epochs: 9, 'lr-schedule': schedule, 'warmup-epochs': 1 });
    expect(rates(stretch.settings, halves(0, 9))).toEqual(rates(whole, halves(0, 9)));
  });

  it('once chosen, go on so, and may be chosen anew', () => {
    const { settings: first } = more(run(), 9, 'restart');
    expect(more(first, 9).settings).toEqual(first);
    expect(more(first, 11).settings['lr-courses']).toBe('6+3+2');
    expect(more(first, 11, 'stretch').settings['lr-courses']).toBe('6+5');
    const { settings: held } = more(first, 11, 'hold');
    expect(held['lr-courses']).toBe('6+3+h2');
    expect(more(held, 14, 'restart').settings['lr-courses']).toBe('6+3+h2+3');
    expect(more(held, 14, 'stretch').settings['lr-courses']).toBe('6+8');
    expect(more(held, 5, 'stretch').settings['lr-courses']).toBe('5');
  });

  it('repeat the divided part where that has a rate of its own', () => {
    const divided = run({ lr: 0.004, 'divide-from': 2, 'divide-lr': 0.002, 'lr-schedule': 'constant' });
    const { settings } = more(divided, 10, 'restart');
    expect(rates(settings, halves(6, 10))).toEqual(rates(divided, halves(2, 6)));
    const free = run({ lr: 0.004, 'divide-from': 2, 'divide-lr': 0.002, 'divide-lr-schedule': 'constant' });
    expect(more(free, 10)).toMatchObject({ settings: { epochs: 10, 'lr-courses': null }, notes: [] });
  });

  it.each(['constant', 'step'])('of %s need no choice, and take none', (schedule) => {
    const before = run({ 'lr-schedule': schedule });
    const { settings, notes } = more(before, 90);
    expect([settings['lr-courses'], notes]).toEqual([null, []]);
    expect(rates(settings, halves(0, 6))).toEqual(rates(before, halves(0, 6)));
    expect(() => more(before, 90, 'hold')).toThrow(/--lr-after: the schedule \w+ has no end/);
    expect(() => learningRateOf(run({ 'lr-schedule': schedule, 'lr-courses': '6+3' }))).toThrow(/no courses/);
  });
});

it('fewer epochs leave the schedule as it was laid out, unless it is to be stretched', () => {
  const before = run();
  const { settings, notes } = more(before, 4);
  expect(notes).toEqual([expect.stringContaining('as they were laid out for 6 epochs')]);
  expect(rates(settings, halves(0, 4))).toEqual(rates(before, halves(0, 4)));
  expect(more(settings, 6).settings['lr-courses']).toBe('6');
  expect(() => more(settings, 7)).toThrow(/ends with epoch 6/);
});

it('a choice without more epochs, or courses that are none, are refused', () => {
  expect(() => more(run(), 6, 'hold')).toThrow(/give --epochs more than the run's 6/);
  for (const text of ['', 'x', '6+', '0', 'h6', '6+-1', '6+h', '1.5'])
    expect(() => learningRateOf({ ...run(), 'lr-courses': text }), text).toThrow(/--lr-courses: expected/);
});
