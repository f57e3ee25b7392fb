import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import type { Split } from '../datasets/dataset.js';
import type { ExperimentInput } from './experiment.js';
import { resolveExperiment } from './resolve.js';
import { settleDivision, withDivision } from './settle-division.js';

const split = (classes: number, more: Partial<Split> = {}): Split => ({
  name: 'train',
  paths: Array.from({ length: 2 * classes }, (_, i) => `${i}.png`),
  labels: Int32Array.from({ length: 2 * classes }, (_, i) => i >> 1),
  classNames: Array.from({ length: classes }, (_, i) => `${i}`),
  ...more,
});
const pairs: NonNullable<Split['pairs']> = {
  first: Int32Array.of(0),
  second: Int32Array.of(1),
  same: Uint8Array.of(1),
};

function settledOf(input: ExperimentInput, train: Split, resumed: RunFolder | null = null) {
  const { experiment, why } = settleDivision(resolveExperiment(input), train, resumed);
  const { numLearners, divideFrom } = experiment.divide;
  return { numLearners, divideFrom, why };
}

it('goes by the classes that train, and of pairs has one learner', () => {
  const epochs: ExperimentInput = { train: { epochs: 20 } };
  expect(settledOf(epochs, split(640))).toMatchObject({ numLearners: 4, divideFrom: 8 });
  expect(settledOf(epochs, split(639))).toMatchObject({ numLearners: 1, divideFrom: 0 });
  const ofPairs = settledOf(epochs, split(5000, { pairs }));
  expect(ofPairs).toMatchObject({ numLearners: 1, divideFrom: 0, why: expect.stringMatching(/pairs train/) });
});

it('of a run that goes on is what the run has, whatever classes and epochs would come to', () => {
  const before = withDivision(resolveExperiment({ train: { epochs: 10 } }), {
    numLearners: 8,
    divideFrom: 3,
  });
  const run = RunFolder.create(join(temporaryFolder(), 'run'), before);
  const now = settledOf({ train: { epochs: 50 } }, split(12), run);
  expect(now).toEqual({ numLearners: 8, divideFrom: 3, why: null });
  // What is asked for stays, and is refused as another setting than the run's.
  expect(settledOf({ divide: { numLearners: 2 } }, split(12), run).numLearners).toBe(2);
});
