import { Generator, liveTensors, randn, scope, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { maskOrthogonality } from './mask-orthogonality.js';

/** As the paper writes it: the mean over all ordered pairs. */
function pairByPair(masks: number[][]): number {
  const positive = masks.map((mask) => mask.map((value) => Math.max(value, 0)));
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, d) => sum + value * (b[d] as number), 0);
  let sum = 0;
  for (const a of positive) {
    for (const b of positive) if (a !== b) sum += dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  }
  return sum / (masks.length * (masks.length - 1));
}

it('is the mean over all pairs', () => {
  for (const k of [2, 3, 8]) {
    scope(() => {
      const masks = randn([k, 16], { generator: new Generator(k), dtype: 'float64' });
      const expected = pairByPair(masks.tolist() as number[][]);
      expect(maskOrthogonality(masks).item() / expected - 1).toBeCloseTo(0, 13);
    });
  }
});

it('is 1 for equal masks, exactly 0 for disjoint ones and for one learner', () => {
  scope(() => {
    expect(
      maskOrthogonality(
        tensor([
          [1, 2, -3],
          [2, 4, 0],
        ]),
      ).item(),
    ).toBeCloseTo(1, 6);
    expect(
      maskOrthogonality(
        tensor([
          [1, 1, 0, 0],
          [0, 0, 1, 1],
        ]),
      ).item(),
    ).toBe(0);
    expect(maskOrthogonality(tensor([[1, 1, 0, 0]])).item()).toBe(0);
  });
});

it('counts a mask without positive entries as similar to none, with finite gradients', () => {
  scope(() => {
    const masks = tensor(
      [
        [1, 1],
        [1, 0],
        [-1, 0],
      ],
      { dtype: 'float64', requiresGrad: true },
    );
    const value = maskOrthogonality(masks);
    value.backward();
    expect(value.item()).toBeCloseTo(Math.SQRT1_2 / 3, 12);
    const gradient = masks.grad?.tolist() as number[][];
    expect(gradient.flat().every(Number.isFinite)).toBe(true);
    expect(gradient[2]).toEqual([0, 0]);
  });
});

it('leaves only its result, and refuses other shapes', () => {
  using masks = tensor([
    [1, 2],
    [2, 1],
  ]);
  const before = liveTensors();
  const value = maskOrthogonality(masks);
  expect(liveTensors()).toBe(before + 1);
  value.dispose();
  using vector = tensor([1, 2]);
  expect(() => maskOrthogonality(vector)).toThrow(/\(K, D\), got \(2\)/);
});
