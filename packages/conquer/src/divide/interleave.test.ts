import { describe, expect, it } from 'vitest';
import { interleavedLength, interleaveLearners, type LearnerBatches } from './interleave.js';

/** Batches [10 * learner + epoch * 100 + i]. */
class Counting implements LearnerBatches {
  epoch = -1;
  constructor(
    readonly learner: number,
    readonly length: number,
  ) {}
  *[Symbol.iterator](): Iterator<Int32Array> {
    this.epoch++;
    for (let i = 0; i < this.length; i++) yield Int32Array.of(this.epoch * 100 + this.learner * 10 + i);
  }
}

const run = (...learners: LearnerBatches[]) =>
  Array.from(interleaveLearners(learners), ({ learner, indices }) => `${learner}:${indices[0]}`);

describe('interleaveLearners', () => {
  it('goes round, as often as the largest has batches; the smaller start again', () => {
    expect(run(new Counting(0, 3), new Counting(1, 1), new Counting(2, 2))).toEqual([
      '0:0',
      '1:10',
      '2:20',
      '0:1',
      '1:110',
      '2:21',
      '0:2',
      '1:210',
      '2:120',
    ]);
  });

  it('goes through a restarted learner to its end', () => {
    expect(run(new Counting(0, 5), new Counting(1, 2)).filter((text) => text.startsWith('1'))).toEqual([
      '1:10',
      '1:11',
      '1:110',
      '1:111',
      '1:210',
    ]);
  });

  it('passes over learners without a batch', () => {
    const learners = [new Counting(0, 0), new Counting(1, 2)];
    expect(run(...learners)).toEqual(['1:10', '1:11']);
    expect(interleavedLength(learners)).toBe(2);
    expect(interleavedLength([])).toBe(0);
    expect(run()).toEqual([]);
  });

  it('yields as many as it promises', () => {
    const learners = [new Counting(0, 4), new Counting(1, 7), new Counting(2, 0), new Counting(3, 2)];
    expect(run(...learners).length).toBe(interleavedLength(learners));
  });

  it('does not spin on a sampler that breaks its promise', () => {
    const empty: LearnerBatches = { length: 2, *[Symbol.iterator]() {} };
    expect(() => run(empty)).toThrow(/learner 0 promises 2 batches but has none/);
  });
});
