import { describe, expect, it } from 'vitest';
import { DivisionSchedule } from './schedule.js';
import { enoughToTrain, mostTrainableClusters, refuseTooManyClusters } from './trainable.js';

/** Labels of classes of these sizes. */
const classesOf = (...sizes: number[]) =>
  Int32Array.from(sizes.flatMap((size, label) => new Array<number>(size).fill(label)));

describe('mostTrainableClusters', () => {
  it.each([
    [[6, 6, 6], 4, 1],
    [[2, 2], 1, 1],
    [[2, 2, 2, 2], 2, 2],
    [[100, 3], 1, 1],
    [[100, 8, 1], 4, 1],
    [[1, 1, 1, 1], 0, 0],
    [[5], 0, 0],
    [[], 0, 0],
  ])('of classes of %j is %i, and %i of whole classes', (sizes, byImage, byClass) => {
    expect(mostTrainableClusters(classesOf(...sizes))).toBe(byImage);
    expect(mostTrainableClusters(classesOf(...sizes), 'class')).toBe(byClass);
  });

  it('is what shares can reach, and no more', () => {
    // Every way to share out three classes of four, two and two images among two clusters.
    const labels = classesOf(4, 2, 2);
    const ways = Array.from({ length: 2 ** labels.length }, (_, way) =>
      Int32Array.from(labels, (_, image) => (way >> image) & 1),
    );
    expect(mostTrainableClusters(labels)).toBe(2);
    expect(ways.some((clusters) => enoughToTrain(clusters, { labels }, 2))).toBe(true);
    expect(mostTrainableClusters(classesOf(4, 2))).toBe(1);
  });
});

describe('more learners than there is anything to learn for', () => {
  const most = (options: Partial<ConstructorParameters<typeof DivisionSchedule>[0]>, epochs: number) =>
    new DivisionSchedule({ numLearners: 32, modEpoch: 2, ...options }).mostClusters(epochs);

  it('are counted over all epochs, whatever the hierarchy', () => {
    expect(most({ hierarchy: 'none' }, 1)).toBe(32);
    expect(most({ hierarchy: 'bottom-up' }, 1)).toBe(32);
    expect([2, 4, 10, 1e9].map((epochs) => most({}, epochs))).toEqual([1, 2, 16, 32]);
    expect(most({ startLearners: 2 }, 1)).toBe(2);
    expect(most({ divideFrom: 5, startLearners: 2 }, 5)).toBe(1);
    expect(most({ divideFrom: 5, startLearners: 2 }, 6)).toBe(2);
    expect(most({ forceFullEmbeddingEpoch: 0, hierarchy: 'none' }, 10)).toBe(1);
    expect(most({ forceFullEmbeddingEpoch: 4 }, 100)).toBe(2);
  });

  it('are refused in a line that says how many there can be', () => {
    const labels = classesOf(6, 6, 6);
    expect(() => refuseTooManyClusters(4, labels)).not.toThrow();
    expect(() => refuseTooManyClusters(1, classesOf(9, 1, 1))).toThrow(
      'expected at least two classes of two images to train on, got 11 training images of 3 classes',
    );
    expect(() => refuseTooManyClusters(32, labels)).toThrow(
      '32 learners are too many for 18 training images of 3 classes: each needs two classes of two images; use 4 learners or fewer, or more data',
    );
    expect(() => refuseTooManyClusters(2, labels, 'class')).toThrow(
      /all images of a class in one cluster; use 1 learner, or more data/,
    );
  });
});

it('asks of pairs one of either kind for each learner, and no classes', () => {
  const pairs = {
    first: Int32Array.of(0, 1, 2, 3),
    second: Int32Array.of(1, 2, 3, 4),
    same: Uint8Array.of(1, 1, 0, 0),
  };
  const labels = Int32Array.of(0, 0, 0, 1, 2);
  expect(() => refuseTooManyClusters(2, labels, 'image', pairs)).not.toThrow();
  expect(() => refuseTooManyClusters(4, labels, 'image', pairs)).toThrow(
    /4 learners are too many for 4 pairs: each needs one that is the same and one that is different; use 2 learners/,
  );
  expect(() => refuseTooManyClusters(2, labels, 'class', pairs)).toThrow(/pairs have no classes/);
  expect(enoughToTrain(Int32Array.of(0, 0, 0, 0, 1), { labels, pairs }, 1)).toBe(true);
  expect(enoughToTrain(Int32Array.of(0, 0, 0, 1, 1), { labels, pairs }, 2)).toBe(false);
});
