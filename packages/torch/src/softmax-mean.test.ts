import { expect, it } from 'vitest';
import { grad } from './autograd.js';
import { randn, tensor } from './creation.js';
import { softmax } from './functional.js';
import { Generator } from './random.js';
import { softmaxMean } from './softmax-mean.js';
import type { Tensor } from './tensor.js';

const generator = new Generator(1);
const largest = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

it.each([
  [[5, 7], 0.1],
  [[3, 4, 6], 2],
  [[9], 1],
  [[600, 300], 0.01],
] as const)('gives the mean of %j at temperature %s, and its gradient', (shape, temperature) => {
  const x = randn([...shape], { generator, dtype: 'float64' }).requiresGrad_();
  const found = softmaxMean(x, temperature);
  const wanted = softmax(x.div(temperature), -1).mul(x).sum(-1);
  expect(found.shape).toEqual(shape.slice(0, -1));
  expect(largest(found, wanted)).toBeLessThan(1e-14);
  const weights = randn(found.shape, { generator, dtype: 'float64' });
  const [gradient] = grad(found.mul(weights).sum(), [x]) as [Tensor];
  const [expected] = grad(wanted.mul(weights).sum(), [x]) as [Tensor];
  expect(largest(gradient, expected)).toBeLessThan(1e-11);
});

it('does not overflow, and lets what is not finite be seen in its row alone', () => {
  const x = tensor([1e4, 0, 1, Number.NaN], { shape: [2, 2] });
  const [large, bad] = [...softmaxMean(x, 1e-3).toNumbers()];
  expect(large).toBe(1e4);
  expect(bad).toBeNaN();
});

it('takes rows that are not contiguous, in float32', () => {
  const x = randn([6, 5], { generator });
  const wanted = softmax(x.t(), -1).mul(x.t()).sum(-1);
  expect(largest(softmaxMean(x.t(), 1), wanted)).toBeLessThan(1e-6);
});
