import { expect, it } from 'vitest';
import { grad } from './autograd.js';
import { randn } from './creation.js';
import { TorchError } from './error.js';
import { Generator } from './random.js';
import { rowProducts } from './row-products.js';
import type { Tensor } from './tensor.js';

const generator = new Generator(1);
const largest = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();

it('gives the products of rows with themselves, and their gradient', () => {
  const x = randn([6, 9], { generator, dtype: 'float64' }).requiresGrad_();
  const weights = randn([6, 6], { generator, dtype: 'float64' });
  const [found, wanted] = [rowProducts(x, x), x.matmul(x.t())];
  expect(largest(found, wanted)).toBe(0);
  const [gradient] = grad(found.mul(weights).square().sum(), [x]) as [Tensor];
  const [expected] = grad(wanted.mul(weights).square().sum(), [x]) as [Tensor];
  expect(largest(gradient, expected)).toBeLessThan(1e-12);
});

it('gives those of two sets, and refuses what is no matrix', () => {
  const [x, y] = [randn([3, 4], { generator }), randn([5, 4], { generator })];
  expect(largest(rowProducts(x, y), x.matmul(y.t()))).toBe(0);
  const vector = randn([3], { generator }).requiresGrad_();
  expect(() => rowProducts(vector, vector)).toThrow(TorchError);
});
