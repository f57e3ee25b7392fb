import { Generator, liveTensors, nn, noGrad, scope, tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { LearnerMasks } from './masks.js';

const numbers = (masks: LearnerMasks) => masks.masks.map((mask) => [...mask.toNumbers()]);

describe('learned masks', () => {
  it('start as one mask of ones, a parameter named masks.0', () => {
    using masks = new LearnerMasks(4);
    expect(numbers(masks)).toEqual([[1, 1, 1, 1]]);
    expect(Array.from(masks.namedParameters(), ([name]) => name)).toEqual(['masks.0']);
    expect(masks.masks[0]?.requiresGrad).toBe(true);
  });

  it('may start from N(0.9, 0.7)', () => {
    using masks = new LearnerMasks(20_000, { initialisation: 'normal', generator: new Generator(3) });
    scope(() => {
      const mask = masks.stacked();
      expect(mask.mean().item()).toBeCloseTo(0.9, 1);
      expect(mask.std().item()).toBeCloseTo(0.7, 1);
    });
  });

  it('copy each parent to two children, which then go their own ways', () => {
    using masks = new LearnerMasks(3);
    noGrad(() => masks.masks[0]?.copy_(tensor([1, 2, 3])));
    masks.double();
    noGrad(() => masks.masks[1]?.mul_(10));
    masks.double();
    expect(numbers(masks)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
      [10, 20, 30],
      [10, 20, 30],
    ]);
    expect([...masks.stateDict().keys()]).toEqual(['masks.0', 'masks.1', 'masks.2', 'masks.3']);
    expect(masks.masks.every((mask) => mask.requiresGrad && mask.isLeaf)).toBe(true);
  });

  it('keep dtype and leave no tensor behind when they double', () => {
    using masks = new LearnerMasks(3).to({ dtype: 'float64' });
    const before = liveTensors();
    masks.double();
    expect(liveTensors()).toBe(before + 1);
    expect(masks.masks.map(({ dtype }) => dtype)).toEqual(['float64', 'float64']);
  });

  it('apply a ReLU unless told otherwise', () => {
    for (const [relu, expected] of [
      [true, [1, 0, 3]],
      [false, [1, -2, 3]],
    ] as const) {
      using masks = new LearnerMasks(3, { relu });
      noGrad(() => masks.masks[0]?.copy_(tensor([1, -2, 3])));
      using applied = masks.learner(0);
      expect([...applied.toNumbers()]).toEqual(expected);
      using sum = masks.sumForFullEmbedding('sum');
      expect([...sum.toNumbers()]).toEqual(expected);
    }
  });

  it('sum for the full embedding, with or without L1 normalisation', () => {
    using masks = new LearnerMasks(3, { numLearners: 2 });
    noGrad(() => {
      masks.masks[0]?.copy_(tensor([1, 3, -5]));
      masks.masks[1]?.copy_(tensor([0, 1, 1]));
    });
    using sum = masks.sumForFullEmbedding('sum');
    expect([...sum.toNumbers()]).toEqual([1, 4, 1]);
    using normalised = masks.sumForFullEmbedding('sum-l1');
    expect([...normalised.toNumbers()]).toEqual([0.25, 1.25, 0.5]);
  });
});

describe('fixed masks', () => {
  it('split the ones in halves, the smaller half first', () => {
    using masks = new LearnerMasks(7, { kind: 'fixed' });
    masks.double();
    expect(numbers(masks)).toEqual([
      [1, 1, 1, 0, 0, 0, 0],
      [0, 0, 0, 1, 1, 1, 1],
    ]);
    masks.double();
    expect(numbers(masks)).toEqual([
      [1, 0, 0, 0, 0, 0, 0],
      [0, 1, 1, 0, 0, 0, 0],
      [0, 0, 0, 1, 1, 0, 0],
      [0, 0, 0, 0, 0, 1, 1],
    ]);
  });

  it('are saved but not trained', () => {
    using masks = new LearnerMasks(4, { kind: 'fixed', numLearners: 2 });
    expect(masks.parameters()).toEqual([]);
    expect([...masks.stateDict().keys()]).toEqual(['masks.0', 'masks.1']);
    expect(masks.masks.some((mask) => mask.requiresGrad)).toBe(false);
  });

  it('cannot be split among more learners than dimensions', () => {
    using masks = new LearnerMasks(3, { kind: 'fixed', numLearners: 2 });
    expect(() => masks.double()).toThrow(/cannot be split among 4 learners.*3 dimensions/);
    expect(masks.numLearners).toBe(2);
    expect(() => new LearnerMasks(3, { kind: 'fixed', initialisation: 'normal' })).toThrow(/learned masks/);
  });
});

describe('halving', () => {
  it('gives the parent of two learned masks their mean', () => {
    using masks = new LearnerMasks(3, { numLearners: 4 });
    noGrad(() => {
      for (const [k, mask] of masks.masks.entries()) mask.copy_(tensor([k, 10 * k, 1]));
    });
    const before = liveTensors();
    masks.halve();
    expect(liveTensors()).toBe(before - 2);
    expect(numbers(masks)).toEqual([
      [0.5, 5, 1],
      [2.5, 25, 1],
    ]);
    expect(masks.masks.every((mask) => mask.requiresGrad && mask.isLeaf)).toBe(true);
    masks.halve();
    expect(numbers(masks)).toEqual([[1.5, 15, 1]]);
    expect(() => masks.halve()).toThrow(/one learner/);
  });

  it('undoes the doubling of fixed masks', () => {
    using masks = new LearnerMasks(7, { kind: 'fixed', numLearners: 4 });
    masks.halve();
    using two = new LearnerMasks(7, { kind: 'fixed', numLearners: 2 });
    expect(numbers(masks)).toEqual(numbers(two));
    expect(masks.parameters()).toEqual([]);
  });
});

it('wants a power of two, and a learner that exists', () => {
  for (const numLearners of [0, 3, 1.5]) {
    expect(() => new LearnerMasks(4, { numLearners })).toThrow(/power of two/);
  }
  using masks = new LearnerMasks(4, { numLearners: 2 });
  expect(() => masks.learner(2)).toThrow(/2 learners.*learner 2/);
});

it('is a module whose masks load from a state dict', () => {
  using source = new LearnerMasks(4, { numLearners: 2 });
  noGrad(() => nn.init.uniform_(source.masks[1] as (typeof source.masks)[0]));
  using target = new LearnerMasks(4, { numLearners: 2 });
  target.loadStateDict(source.stateDict());
  expect(numbers(target)).toEqual(numbers(source));
  using fewer = new LearnerMasks(4);
  expect(() => fewer.loadStateDict(source.stateDict())).toThrow(/masks\.1/);
});

describe('nested masks', () => {
  it('have the first shares of the dimensions, one more for each learner, and do not learn', () => {
    using masks = new LearnerMasks(7, { kind: 'nested', numLearners: 4 });
    const four = [
      [1, 1, 0, 0, 0, 0, 0],
      [1, 1, 1, 1, 0, 0, 0],
      [1, 1, 1, 1, 1, 0, 0],
      [1, 1, 1, 1, 1, 1, 1],
    ];
    expect(numbers(masks)).toEqual(four);
    expect(masks.parameters()).toEqual([]);
    masks.halve();
    expect(numbers(masks)).toEqual([four[1], four[3]]);
    masks.double();
    expect(numbers(masks)).toEqual(four);
    expect(() => masks.double()).toThrow('nested masks cannot be split among 8 learners');
    expect(() => new LearnerMasks(3, { kind: 'nested', initialisation: 'normal' })).toThrow(/learned masks/);
  });
});
