import { describe, expect, it } from 'vitest';
import { OptionError } from '../option-error.js';
import { type LearningRates, learningRateFactor, startingLearningRate } from './learning-rates.js';
import { withEpochs } from './more-epochs.js';
import type { ChosenSchedule } from './schedules.js';

const cosine = { name: 'cosine' } as const;
const constant = { name: 'constant' } as const;
const run = (given: Partial<LearningRates> = {}): LearningRates => ({
  learningRate: 1e-3,
  schedule: cosine,
  warmupEpochs: 0,
  warmupFrom: 1 / 3,
  courses: null,
  afterEnd: null,
  divided: null,
  epochs: 6,
  divideFrom: 0,
  ...given,
});
const factors = (rates: LearningRates, epochs: readonly number[]) => epochs.map(learningRateFactor(rates));
const halves = (from: number, to: number) => Array.from({ length: 2 * (to - from) }, (_, i) => from + i / 2);

function more(before: LearningRates, epochs: number, after: LearningRates['afterEnd'] = null) {
  const notes: string[] = [];
  const rates = withEpochs(before, epochs, after, (text) => notes.push(text));
  return { rates, notes };
}

/** An error that says which option is meant. */
const naming = (path: string, problem: RegExp) =>
  expect.objectContaining({ constructor: OptionError, path, problem: expect.stringMatching(problem) });

const endings: [string, ChosenSchedule][] = [
  ['cosine', cosine],
  ['one-cycle', { name: 'one-cycle', peak: 0.3 }],
];

describe('more epochs than a schedule was laid out for', () => {
  it.each(endings)('of %s are refused until it is said how they go', (_, schedule) => {
    expect(() => more(run({ schedule }), 9)).toThrow(
      naming(
        'optimize.afterEnd',
        /ends with epoch 6: say what they do in epochs 7 to 9: restart .*, hold .* or stretch/,
      ),
    );
  });

  it.each(endings)('of %s do what was chosen, and what was is what it was', (_, schedule) => {
    const before = run({ schedule, warmupEpochs: 1 });
    const past = factors(before, halves(0, 6));

    const restart = more(before, 9, 'restart');
    expect(restart.notes).toEqual([expect.stringMatching(/epochs 7 to 9 follow the schedule .* once more/)]);
    expect(restart.rates).toMatchObject({ epochs: 9, afterEnd: 'restart', courses: '6+3' });
    expect(factors(restart.rates, halves(0, 6))).toEqual(past);
    const alone = run({ epochs: 3, schedule, warmupEpochs: 1 });
    expect(factors(restart.rates, halves(6, 9))).toEqual(factors(alone, halves(0, 3)));

    const hold = more(before, 9, 'hold');
    expect(hold.notes).toEqual([
      expect.stringMatching(/epochs 7 to 9 stay what they are at the end of epoch 6/),
    ]);
    expect(hold.rates).toMatchObject({ epochs: 9, afterEnd: 'hold', courses: '6+h3' });
    expect(factors(hold.rates, halves(0, 6))).toEqual(past);
    expect(factors(hold.rates, halves(6, 9))).toEqual(halves(6, 9).map(() => null));

    const stretch = more(before, 9, 'stretch');
    expect(stretch.notes).toEqual([expect.stringMatching(/as in a run laid out for 9 epochs/)]);
    const whole = run({ epochs: 9, schedule, warmupEpochs: 1 });
    expect(factors(stretch.rates, halves(0, 9))).toEqual(factors(whole, halves(0, 9)));
  });

  it('once chosen, go on so, and may be chosen anew', () => {
    const { rates: first } = more(run(), 9, 'restart');
    expect(more(first, 9).rates).toEqual(first);
    expect(more(first, 11).rates.courses).toBe('6+3+2');
    expect(more(first, 11, 'stretch').rates.courses).toBe('6+5');
    const { rates: held } = more(first, 11, 'hold');
    expect(held.courses).toBe('6+3+h2');
    expect(more(held, 14, 'restart').rates.courses).toBe('6+3+h2+3');
    expect(more(held, 14, 'stretch').rates.courses).toBe('6+8');
    expect(more(held, 5, 'stretch').rates.courses).toBe('5');
  });

  it('repeat the divided part where that has a rate of its own', () => {
    const own = { learningRate: 0.004, divideFrom: 2, schedule: constant };
    const divided = run({ ...own, divided: { learningRate: 0.002, schedule: cosine } });
    const { rates } = more(divided, 10, 'restart');
    expect(factors(rates, halves(6, 10))).toEqual(factors(divided, halves(2, 6)));
    const free = run({ ...own, divided: { learningRate: 0.002, schedule: constant } });
    expect(more(free, 10)).toMatchObject({ rates: { epochs: 10, courses: null }, notes: [] });
  });

  it.each<[string, ChosenSchedule]>([
    ['constant', constant],
    ['step', { name: 'step', stepSize: 2, gamma: 0.5 }],
  ])('of %s need no choice, and take none', (_, schedule) => {
    const before = run({ schedule });
    const { rates, notes } = more(before, 90);
    expect([rates.courses, notes]).toEqual([null, []]);
    expect(factors(rates, halves(0, 6))).toEqual(factors(before, halves(0, 6)));
    expect(() => more(before, 90, 'hold')).toThrow(
      naming('optimize.afterEnd', /the schedule \w+ has no end/),
    );
    expect(() => learningRateFactor(run({ schedule, courses: '6+3' }))).toThrow(
      naming('optimize.courses', /no courses/),
    );
  });
});

it('fewer epochs leave the schedule as it was laid out, unless it is to be stretched', () => {
  const before = run();
  const { rates, notes } = more(before, 4);
  expect(notes).toEqual([expect.stringContaining('as they were laid out for 6 epochs')]);
  expect(factors(rates, halves(0, 4))).toEqual(factors(before, halves(0, 4)));
  expect(more(rates, 6).rates.courses).toBe('6');
  expect(() => more(rates, 7)).toThrow(/ends with epoch 6/);
});

it('a choice without more epochs, or courses that are none, are refused', () => {
  expect(() => more(run(), 6, 'hold')).toThrow(naming('optimize.afterEnd', /more epochs than the run's 6/));
  for (const text of ['', 'x', '6+', '0', 'h6', '6+-1', '6+h', '1.5'])
    expect(() => learningRateFactor({ ...run(), courses: text }), text).toThrow(
      naming('optimize.courses', /^expected numbers of epochs/),
    );
});

it('a rate of its own for the divided training needs one before it, and epochs to train with that', () => {
  const divided = { learningRate: 2e-3, schedule: cosine };
  for (const before of [{ divideFrom: 0 }, { divideFrom: 2, learningRate: 0 }]) {
    expect(() => learningRateFactor(run({ divided, ...before }))).toThrow(
      naming('optimize.divided.learningRate', /expected epochs before it, and a learning rate above 0/),
    );
  }
});

it('the learning rate that nobody says is that of how the weights start', () => {
  expect([true, false].map((pretrained) => startingLearningRate(null, pretrained))).toEqual([1e-5, 1e-3]);
  expect(startingLearningRate(0, true)).toBe(0);
});
