import { describe, expect, it } from 'vitest';
import { grad } from './autograd.js';
import { randn, tensor } from './creation.js';
import { TorchError } from './error.js';
import { Generator } from './random.js';
import { exactRowDistances, rowDistances } from './row-distances.js';
import { aten, type Tensor } from './tensor.js';

const generator = new Generator(1);
const [from, to] = [Int32Array.of(4, 0, 4, 2, 1), Int32Array.of(1, 0, 3, 2, 4)];

const largest = (a: Tensor, b: Tensor) => a.sub(b).abs().max().item();
const rowsOf = (x: Tensor, which: Int32Array) => x.indexSelect(0, tensor(which, { dtype: 'int64' }));

it.each([
  ['of two sets', false],
  ['of one with itself', true],
])('gives the distances %s that operators give, and their gradients', (_, isSame) => {
  const x = randn([5, 7], { generator, dtype: 'float64' }).requiresGrad_();
  const y = isSame ? x : randn([5, 7], { generator, dtype: 'float64' }).requiresGrad_();
  const inputs = isSame ? [x] : [x, y];
  const weights = randn([5], { generator, dtype: 'float64' });
  const byOperators = (a: Tensor, b: Tensor, leastSquare: number) =>
    leastSquare === 0
      ? aten.pairwise_distance(a, b, 2, 1e-6, false)
      : a.sub(b).square().sum(1).add(leastSquare).sqrt();
  for (const options of [
    { shift: 1e-6, leastSquare: 0 },
    { shift: 0, leastSquare: 1e-8 },
  ]) {
    const wanted = byOperators(rowsOf(x, from), rowsOf(y, to), options.leastSquare);
    const found = rowDistances(x, y, from, to, options);
    expect(largest(found, wanted)).toBeLessThan(1e-15);
    const gradients = grad(found.mul(weights).sum(), inputs);
    const expected = grad(wanted.mul(weights).sum(), inputs);
    for (const [i, gradient] of gradients.entries())
      expect(largest(gradient, expected[i]!)).toBeLessThan(1e-10);
  }
});

it('gives a gradient to the rows alone that have one', () => {
  const [x, y] = [randn([5, 7], { generator }), randn([5, 7], { generator }).requiresGrad_()];
  const [gradient] = grad(rowDistances(x, y, from, to).sum(), [y]) as [Tensor];
  const [wanted] = grad(rowsOf(x, from).sub(rowsOf(y, to)).norm(2, 1).sum(), [y]) as [Tensor];
  expect(largest(gradient, wanted)).toBeLessThan(1e-6);
});

it('has no gradient at a distance of 0, and takes no pairs', () => {
  const x = tensor([1, 2, 1, 2], { shape: [2, 2] }).requiresGrad_();
  const [gradient] = grad(rowDistances(x, x, Int32Array.of(0), Int32Array.of(1)).sum(), [x]) as [Tensor];
  expect([...gradient.toNumbers()]).toEqual([0, 0, 0, 0]);
  expect(rowDistances(x, x, new Int32Array(0), new Int32Array(0)).shape).toEqual([0]);
});

it('lets what is not finite be seen', () => {
  const x = tensor([Number.NaN, 2, 1, 2], { shape: [2, 2] }).requiresGrad_();
  const distances = rowDistances(x, x, Int32Array.of(0), Int32Array.of(1));
  expect(distances.item()).toBeNaN();
  const [gradient] = grad(distances.sum(), [x]) as [Tensor];
  expect(gradient.toNumbers()[0]).toBeNaN();
});

it('refuses rows that there are not', () => {
  const x = randn([3, 2], { generator });
  for (const row of [-1, 3])
    expect(() => rowDistances(x, x, Int32Array.of(0), Int32Array.of(row))).toThrow(TorchError);
  expect(() => rowDistances(x, x, Int32Array.of(0, 1), Int32Array.of(1))).toThrow(/one length/);
});

describe('exact distances', () => {
  it('are those of float64, rounded once', () => {
    const [x, y] = [randn([5, 300], { generator }), randn([5, 300], { generator })];
    const [a, b] = [x, y].map((rows) => rows.to({ dtype: 'float64' })) as [Tensor, Tensor];
    const wanted = rowsOf(a, from).sub(rowsOf(b, to)).square().sum(1).sqrt().toNumbers();
    // A sum in another order may round to the number beside it.
    for (const [i, distance] of exactRowDistances(x, y, from, to).entries())
      expect(Math.abs(distance / wanted[i]! - 1)).toBeLessThan(1.2e-7);
    expect([...exactRowDistances(x, x, Int32Array.of(3), Int32Array.of(3))]).toEqual([0]);
    expect(exactRowDistances(x, y, new Int32Array(0), new Int32Array(0))).toHaveLength(0);
  });

  it('refuses other rows', () => {
    const x = randn([3, 2], { generator });
    for (const row of [-1, 3])
      expect(() => exactRowDistances(x, x, Int32Array.of(0), Int32Array.of(row))).toThrow(TorchError);
    expect(() => exactRowDistances(x, x, Int32Array.of(0, 1), Int32Array.of(1))).toThrow(/one length/);
    for (const y of [x.to({ dtype: 'float64' }), randn([3, 3], { generator }), x.t()])
      expect(() => exactRowDistances(x, y, Int32Array.of(0), Int32Array.of(0))).toThrow(TorchError);
  });
});
