import { UserError } from '@conquer-dml/run';
import { describe, expect, it } from 'vitest';
import { DivisionSchedule, type ScheduleOptions } from './schedule.js';

const epochs = (options: ScheduleOptions, count: number) => {
  const schedule = new DivisionSchedule(options);
  return Array.from({ length: count }, (_, epoch) => schedule.at(epoch));
};

describe('DivisionSchedule', () => {
  it('doubles top-down at every redivision but the first, up to the final number', () => {
    const all = epochs({ numLearners: 4, modEpoch: 2, modEpochFreeze: 1 }, 9);
    expect(all.map((e) => e.redivide)).toEqual([true, false, true, false, true, false, true, false, true]);
    expect(all.map((e) => e.numLearners)).toEqual([1, 1, 2, 2, 4, 4, 4, 4, 4]);
    expect(all.filter((e) => e.redivide).map((e) => e.numClusters)).toEqual([1, 1, 2, 4, 4]);
    expect(all.map((e) => e.freezeBackbone)).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
      true,
      false,
      true,
    ]);
    expect(all.some((e) => e.fullEmbedding)).toBe(false);
  });

  it('has all learners from the start without a hierarchy', () => {
    const all = epochs({ numLearners: 8, modEpoch: 3, hierarchy: 'none' }, 4);
    expect(all.map((e) => e.numLearners)).toEqual([8, 8, 8, 8]);
    expect(all.map((e) => e.numClusters)).toEqual([8, 8, 8, 8]);
    expect(all.map((e) => e.redivide)).toEqual([true, false, false, true]);
    expect(all.some((e) => e.freezeBackbone)).toBe(false);
  });

  it('only trains the whole embedding from forceFullEmbeddingEpoch on', () => {
    const options = { numLearners: 8, modEpoch: 2, modEpochFreeze: 1, forceFullEmbeddingEpoch: 5 };
    const all = epochs(options, 9);
    expect(all.map((e) => e.fullEmbedding)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
    expect(all.map((e) => e.redivide)).toEqual([true, false, true, false, true, false, false, false, false]);
    expect(all.map((e) => e.numLearners)).toEqual([1, 1, 2, 2, 4, 4, 4, 4, 4]);
    expect(all.map((e) => e.freezeBackbone)).toEqual([
      true,
      false,
      true,
      false,
      true,
      false,
      false,
      false,
      false,
    ]);
    const compatible = epochs({ ...options, compat: 'dcesml' }, 9);
    expect(compatible.map((e) => e.numLearners)).toEqual([1, 1, 2, 2, 4, 4, 8, 8, 8]);
    expect(compatible[6]).toEqual({
      redivide: true,
      numClusters: 4,
      numLearners: 8,
      freezeBackbone: true,
      fullEmbedding: true,
    });
    expect(epochs({ numLearners: 4, modEpoch: 1, forceFullEmbeddingEpoch: 0 }, 1)[0]?.numLearners).toBe(1);
  });

  it('halves bottom-up from all learners to one', () => {
    const all = epochs({ numLearners: 4, modEpoch: 2, hierarchy: 'bottom-up' }, 7);
    expect(all.map((e) => e.numLearners)).toEqual([4, 4, 2, 2, 1, 1, 1]);
    expect(all.filter((e) => e.redivide).map((e) => e.numClusters)).toEqual([4, 4, 2, 1]);
    const cut = epochs(
      { numLearners: 4, modEpoch: 1, hierarchy: 'bottom-up', forceFullEmbeddingEpoch: 2 },
      4,
    );
    expect(cut.map((e) => e.numLearners)).toEqual([4, 2, 2, 2]);
  });

  it('can start top-down with two learners', () => {
    const all = epochs({ numLearners: 8, modEpoch: 2, startLearners: 2 }, 6);
    expect(all.map((e) => e.numLearners)).toEqual([2, 2, 4, 4, 8, 8]);
    expect(epochs({ numLearners: 1, modEpoch: 2, startLearners: 2 }, 1)[0]?.numLearners).toBe(1);
    expect(
      epochs({ numLearners: 4, modEpoch: 2, startLearners: 2, hierarchy: 'none' }, 1)[0]?.numLearners,
    ).toBe(4);
  });

  it('leaves one learner alone until divideFrom, and counts everything but the full embedding from there', () => {
    const options = { numLearners: 4, modEpoch: 2, modEpochFreeze: 1, divideFrom: 3 };
    const all = epochs(options, 10);
    expect(all.slice(3)).toEqual(epochs({ ...options, divideFrom: 0 }, 7));
    expect(all.slice(0, 3).map((e) => [e.redivide, e.numLearners, e.freezeBackbone])).toEqual([
      [true, 1, false],
      [false, 1, false],
      [false, 1, false],
    ]);
    const atOnce = epochs({ numLearners: 4, modEpoch: 2, divideFrom: 3, hierarchy: 'none' }, 6);
    expect(atOnce.map((e) => e.numLearners)).toEqual([1, 1, 1, 4, 4, 4]);
    expect(atOnce.map((e) => e.redivide)).toEqual([true, false, false, true, false, true]);
    expect(atOnce[3]?.numClusters).toBe(4);
    const joined = epochs({ ...options, forceFullEmbeddingEpoch: 6 }, 8);
    expect(joined.map((e) => e.fullEmbedding)).toEqual(joined.map((_, epoch) => epoch >= 6));
    expect(joined.map((e) => e.numLearners)).toEqual([1, 1, 1, 1, 1, 2, 2, 2]);
    // The whole embedding before any division: there is nothing left to divide.
    const never = epochs({ ...options, forceFullEmbeddingEpoch: 2 }, 6);
    expect(never.map((e) => [e.redivide, e.numLearners])).toEqual([
      [true, 1],
      ...Array.from({ length: 5 }, () => [false, 1]),
    ]);
    const stopping = epochs({ ...options, stopRecluster: true }, 12);
    expect(stopping.flatMap((e, epoch) => (e.redivide ? [epoch] : []))).toEqual([0, 3, 5, 7]);
  });

  it('stops dividing and freezing in the epoch after the last doubling', () => {
    const options = { numLearners: 4, modEpoch: 2, modEpochFreeze: 1, stopRecluster: true };
    const frozen = (o: ScheduleOptions) => epochs(o, 9).map((e) => Number(e.freezeBackbone));
    const divided = (o: ScheduleOptions) => epochs(o, 9).flatMap((e, epoch) => (e.redivide ? [epoch] : []));
    expect(divided(options)).toEqual([0, 2, 4]);
    expect(frozen(options)).toEqual([1, 0, 1, 0, 1, 0, 0, 0, 0]);
    expect(epochs(options, 9).at(-1)?.numLearners).toBe(4);
    // Freezing for longer is cut short.
    expect(frozen({ ...options, modEpoch: 3, modEpochFreeze: 2 })).toEqual([1, 1, 0, 1, 1, 0, 1, 0, 0]);
    expect(divided({ ...options, hierarchy: 'none', modEpoch: 3, modEpochFreeze: 2 })).toEqual([0]);
    expect(frozen({ ...options, hierarchy: 'none', modEpoch: 3, modEpochFreeze: 2 })).toEqual([
      1, 1, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect(divided({ ...options, hierarchy: 'bottom-up' })).toEqual([0, 2, 4]);
    expect(divided({ ...options, numLearners: 1 })).toEqual([0]);
  });

  it('refuses what contradicts itself', () => {
    const refuse = (options: ScheduleOptions) => expect(() => new DivisionSchedule(options));
    refuse({ numLearners: 6, modEpoch: 2 }).toThrow(UserError);
    refuse({ numLearners: 6, modEpoch: 2 }).toThrow(/use 4 or 8/);
    refuse({ numLearners: 0, modEpoch: 2 }).toThrow(/at least 1, got 0/);
    refuse({ numLearners: 4, modEpoch: 0 }).toThrow(/got 0/);
    refuse({ numLearners: 4, modEpoch: 1, startLearners: 4 }).toThrow(/at most 2, got 4/);
    refuse({ numLearners: 4, modEpoch: 2, modEpochFreeze: 2 }).toThrow(/0 to 1/);
    refuse({ numLearners: 4, modEpoch: 2, forceFullEmbeddingEpoch: -1 }).toThrow(/got -1/);
    refuse({ numLearners: 4, modEpoch: 2, divideFrom: -1 }).toThrow(/divideFrom: .* got -1/);
    refuse({ numLearners: 4, modEpoch: 2, divideFrom: 1.5 }).toThrow(/got 1.5/);
  });
});
