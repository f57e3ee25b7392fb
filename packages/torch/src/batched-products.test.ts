import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  aten,
  type DType,
  full,
  Generator,
  numThreads,
  randn,
  setNumThreads,
  stack,
  type Tensor,
  TorchError,
} from './index.js';

// On a libtorch 1.x without MKL these products are the binding's own (native/batched-products.cc), elsewhere libtorch's.

const before = numThreads();
beforeAll(() => setNumThreads(2)); // what is many matrices is shared among them
afterAll(() => setNumThreads(before));

const generator = new Generator(3);
const random = (shape: number[], dtype: DType) => randn(shape, { dtype, generator });

/** Each matrix by the product of two, which is libtorch's own everywhere. */
function oneByOne(a: Tensor, b: Tensor): Tensor {
  return stack(Array.from({ length: a.shape[0]! }, (_, i) => aten.mm(a.select(0, i), b.select(0, i))));
}

function difference(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  return a.sub(b).abs().max().item() as number;
}

const [B, N, K, M] = [7, 19, 33, 21];
/** How a batch of matrices of this shape may lie in memory. */
const layouts: Record<string, (rows: number, columns: number, dtype: DType) => Tensor> = {
  'by rows': (rows, columns, dtype) => random([B, rows, columns], dtype),
  'by columns': (rows, columns, dtype) => random([B, columns, rows], dtype).transpose(1, 2),
  'as the heads of attention': (rows, columns, dtype) => random([rows, B, columns], dtype).transpose(0, 1),
  'one for all': (rows, columns, dtype) => random([1, rows, columns], dtype).expand([B, rows, columns]),
  'with gaps in both directions': (rows, columns, dtype) =>
    aten.slice$Tensor(
      aten.slice$Tensor(random([B, 2 * rows, 3 * columns], dtype), 1, 0, null, 2),
      2,
      0,
      null,
      3,
    ),
};

describe.each(['float32', 'float64'] as const)('bmm of %s', (dtype) => {
  const close = dtype === 'float32' ? 1e-4 : 1e-12;

  it.each(Object.keys(layouts))('multiplies each matrix, of one that lies %s', (layout) => {
    for (const other of Object.keys(layouts)) {
      const a = layouts[layout]!(N, K, dtype);
      const b = layouts[other]!(K, M, dtype);
      expect(difference(aten.bmm(a, b), oneByOne(a, b)), other).toBeLessThan(close);
    }
  });

  it.each([
    [1, 400, 5, 300],
    [500, 11, 12, 13],
    [3, 1, 2000, 1],
    [3, 2000, 1, 2],
    [4, 1, 50, 60],
    [4, 60, 50, 1],
    [9, 2, 2, 2],
  ])('takes %i products of %i × %i and × %i', (b, n, k, m) => {
    const [x, y] = [random([b, n, k], dtype), random([b, k, m], dtype)];
    const turned = aten.contiguous(y.transpose(1, 2)).transpose(1, 2);
    const expected = oneByOne(x, y);
    expect(difference(aten.bmm(x, y), expected)).toBeLessThan(10 * close);
    expect(difference(aten.bmm(x, turned), expected)).toBeLessThan(10 * close);
  });

  it('gives the gradients of attention', () => {
    const shape = [2, 3, 17, 24];
    const leaf = () => random(shape, dtype).requiresGrad_();
    const [q, k, v] = [leaf(), leaf(), leaf()];
    const attention = (one: (a: Tensor, b: Tensor) => Tensor) =>
      one(aten.softmax$int(one(q, k.transpose(-2, -1)), -1), v);
    const gradients = (output: Tensor) => {
      for (const x of [q, k, v]) x.grad = null;
      output.pow(2).sum().backward();
      return [q, k, v].map((x) => x.grad!.clone());
    };
    const whole = gradients(attention((a, b) => a.matmul(b)));
    const heads = (x: Tensor) => x.reshape([6, ...x.shape.slice(2)]);
    const apart = gradients(
      attention((a, b) => oneByOne(heads(a), heads(b)).reshape([2, 3, a.shape[2]!, b.shape[3]!])),
    );
    for (const [i, gradient] of whole.entries())
      expect(difference(gradient, apart[i]!)).toBeLessThan(10 * close);
  });

  it('adds to what is there in baddbmm, and with a factor of 0 does not look at it', () => {
    const [x, y] = [random([B, N, K], dtype), random([B, K, M], dtype)];
    const bias = random([M], dtype);
    const sum = aten.baddbmm(bias, x, y, 0.5, 2);
    expect(difference(sum, oneByOne(x, y).mul(2).add(bias.mul(0.5)))).toBeLessThan(10 * close);
    const nothing = full([1], Number.NaN, { dtype });
    expect(difference(aten.baddbmm(nothing, x, y, 0, 1), oneByOne(x, y))).toBeLessThan(close);
  });
});

it('a product of shapes or types that do not fit is refused as ever', () => {
  const x = random([2, 30, 40], 'float32');
  expect(() => aten.bmm(x, x)).toThrow(TorchError);
  expect(() => aten.bmm(x, random([3, 40, 30], 'float32'))).toThrow(TorchError);
  expect(() => aten.bmm(x, random([2, 40, 30], 'float64'))).toThrow(TorchError);
  expect(() => aten.baddbmm(random([7], 'float32'), x, random([2, 40, 30], 'float32'))).toThrow(TorchError);
});

it('a NaN or an infinity in one matrix stays in its product', () => {
  const x = random([3, 20, 20], 'float32');
  x.select(0, 1).fill_(Number.POSITIVE_INFINITY);
  const product = aten.bmm(x, random([3, 20, 20], 'float32'));
  const finite = (i: number) => aten.isfinite(product.select(0, i)).all().item();
  expect([0, 1, 2].map(finite)).toEqual([1, 0, 1]);
});
