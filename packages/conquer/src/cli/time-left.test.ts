import type { EpochRecord } from '@conquer-dml/run';
import { expect, it } from 'vitest';
import { TimeLeft } from './time-left.js';

const record = (epoch: number, seconds: EpochRecord['seconds']): EpochRecord => ({
  epoch,
  metrics: null,
  seconds,
});

it('takes the first epochs to be as long as this one', () => {
  const time = new TimeLeft();
  time.epochEnded(record(-1, { evaluate: 3 }));
  // 4 s for 10 of 40 steps: 12 s of steps and 3 s of evaluation to go; each of 9 more epochs 16 + 3 s.
  expect(time.left({ epoch: 0, epochs: 10, done: 10, steps: 40, seconds: 4 })).toEqual({
    epoch: 15,
    run: 15 + 9 * 19,
  });
});

it('takes the epochs to come to be as long as the last five', () => {
  const time = new TimeLeft();
  time.epochEnded(record(0, { train: 1000, divide: 1000, evaluate: 1000 }));
  for (let epoch = 1; epoch <= 5; epoch++)
    time.epochEnded(record(epoch, { train: 10, divide: epoch % 2 === 1 ? 5 : 0, evaluate: 2 }));
  const left = time.left({ epoch: 6, epochs: 9, done: 1, steps: 2, seconds: 7 });
  expect(left.epoch).toBe(7 + 2);
  expect(left.run).toBe(9 + 2 * (12 + 3));
});
