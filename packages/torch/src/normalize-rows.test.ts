import { expect, it } from 'vitest';
import { grad } from './autograd.js';
import { randn, tensor } from './creation.js';
import { normalize } from './functional.js';
import { Generator } from './random.js';
import type { Tensor } from './tensor.js';

const generator = new Generator(1);

/** As operators compute it, whose gradients are libtorch's. */
const byOperators = (x: Tensor, dim: number, eps = 1e-12) =>
  x.div(x.norm(2, dim, true).clamp({ min: eps }).expand(x.shape));

const largest = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

it.each([
  [[5, 7], 1],
  [[3, 4, 6], 2],
  [[9], 0],
  [[300, 600], 1],
  [[0, 4], 1],
] as const)('normalises %j and gives the gradient that its operators give', (shape, dim) => {
  const x = randn([...shape], { generator, dtype: 'float64' }).requiresGrad_();
  const weights = randn([...shape], { generator, dtype: 'float64' });
  const [one, other] = [normalize(x, { dim }), byOperators(x, dim)];
  expect(one.shape).toEqual([...shape]);
  if (x.numel() === 0) return;
  expect(largest(one, other)).toBeLessThan(1e-15);
  const [mine] = grad(one.mul(weights).square().sum(), [x]) as [Tensor];
  const [wanted] = grad(other.mul(weights).square().sum(), [x]) as [Tensor];
  expect(largest(mine, wanted)).toBeLessThan(1e-13);
});

it('divides by eps what is shorter, and has the gradient of that', () => {
  const x = tensor([0, 0, 3e-4, 4e-4, 3, 4], { shape: [3, 2], dtype: 'float64' }).requiresGrad_();
  const [one, other] = [normalize(x, { eps: 0.01 }), byOperators(x, 1, 0.01)];
  expect(largest(one, other)).toBeLessThan(1e-15);
  const weights = tensor([1, 2, 3, 4, 5, 6], { shape: [3, 2], dtype: 'float64' });
  const [mine] = grad(one.mul(weights).sum(), [x]) as [Tensor];
  const [wanted] = grad(other.mul(weights).sum(), [x]) as [Tensor];
  expect(largest(mine, wanted)).toBeLessThan(1e-13);
});

it('takes rows that are not contiguous, a gradient that is expanded, and float32', () => {
  const x = randn([6, 5], { generator }).requiresGrad_();
  const [mine] = grad(normalize(x.t()).sum(), [x]) as [Tensor];
  const [wanted] = grad(byOperators(x.t(), 1).sum(), [x]) as [Tensor];
  expect(mine.dtype).toBe('float32');
  expect(largest(mine, wanted)).toBeLessThan(1e-5);
});

it('lets what is not finite be seen in its row alone', () => {
  for (const bad of [Number.NaN, Infinity]) {
    const x = tensor([bad, 1, 3, 4], { shape: [2, 2] }).requiresGrad_();
    const y = normalize(x);
    const numbers = [...y.toNumbers()];
    expect(Number.isFinite(numbers[0])).toBe(false);
    expect(numbers[2]).toBeCloseTo(0.6, 6);
    const [gradient] = grad(y.square().sum(), [x]) as [Tensor];
    expect(Number.isFinite(gradient.toNumbers()[0]!)).toBe(false);
  }
});
