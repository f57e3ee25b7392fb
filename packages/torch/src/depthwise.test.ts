import { describe, expect, it } from 'vitest';
import { native } from './binding.js';
import * as F from './functional.js';
import { aten, autocast, Generator, numThreads, randn, scope, setNumThreads, type Tensor } from './index.js';

type Geometry = [
  maps: [number, number, number, number],
  kernel: [number, number],
  options: {
    stride?: number | [number, number];
    padding?: number | [number, number];
    dilation?: number | [number, number];
  },
];

const geometries: Geometry[] = [
  [[3, 16, 9, 11], [5, 5], { padding: 2 }],
  [[2, 24, 12, 7], [5, 5], { padding: 2, stride: 2 }],
  [[5, 8, 3, 3], [5, 5], { padding: 2 }],
  [[2, 40, 10, 10], [7, 7], { padding: 3 }],
  [[17, 8, 6, 5], [3, 5], { padding: [0, 2], stride: [2, 1] }],
  [[2, 16, 13, 9], [5, 3], { padding: [4, 2], dilation: [2, 1] }],
  [[1, 8, 20, 4], [11, 4], { padding: [3, 2], stride: [3, 2] }],
  [[2, 8, 4, 4], [5, 5], { padding: 6, stride: 3 }],
];

/** What a convolution gives, and the gradients of maps, weight and bias. */
function found(dtype: 'float32' | 'float64', [maps, [height, width], options]: Geometry): Tensor[] {
  const generator = new Generator(1);
  const drawn = (shape: number[]) => scope(() => randn(shape, { generator }).to(dtype).keep());
  const [x, weight, bias] = [drawn(maps), drawn([maps[1], 1, height, width]), drawn([maps[1]])].map((one) =>
    one.requiresGrad_(),
  ) as [Tensor, Tensor, Tensor];
  const y = F.conv2d(x, weight, bias, { ...options, groups: maps[1] });
  const wanted = scope(() => randn(y.shape, { generator }).to(dtype).keep());
  y.backward(wanted);
  return [y, x.grad!, weight.grad!, bias.grad!];
}

const far = (a: Tensor, b: Tensor) =>
  scope(() => a.to('float64').sub(b.to('float64')).norm().div(b.to('float64').norm()).item());

describe('convolutions of each channel by itself, where gradients are of our own', () => {
  it.each(geometries.map((geometry) => [JSON.stringify(geometry), geometry] as const))(
    "give libtorch's of float64: %s",
    (_, geometry) =>
      scope(() => {
        const [own, exact] = [found('float32', geometry), found('float64', geometry)];
        for (const [i, one] of own.entries()) {
          expect(one.dtype).toBe('float32');
          expect(one.shape).toEqual(exact[i]!.shape);
          expect(far(one, exact[i]!)).toBeLessThan(1e-6);
        }
      }),
  );

  it('are the same bits with one thread and with several', () =>
    scope(() => {
      const geometry: Geometry = [[33, 24, 9, 9], [5, 5], { padding: 2 }];
      const several = found('float32', geometry).map((one) => [...one.toNumbers()]);
      const before = numThreads();
      setNumThreads(before === 1 ? 2 : 1);
      try {
        expect(found('float32', geometry).map((one) => [...one.toNumbers()])).toEqual(several);
      } finally {
        setNumThreads(before);
      }
    }));

  it('have gradients of their own', () =>
    scope(() => {
      const second = (dtype: 'float32' | 'float64') => {
        const generator = new Generator(1);
        const x = randn([2, 8, 6, 6], { generator }).to(dtype).detach().requiresGrad_();
        const weight = randn([8, 1, 5, 5], { generator }).to(dtype).detach().requiresGrad_();
        const y = F.conv2d(x, weight, null, { padding: 2, groups: 8 });
        aten._backward(y.mul(y).sum(), [x], null, true, true);
        const first = x.grad!;
        first.mul(first).sum().backward();
        return weight.grad!;
      };
      expect(far(second('float32'), second('float64'))).toBeLessThan(1e-5);
    }));

  it.skipIf(!native.trainsInBfloat16()).each([
    ['windows apart', [[4, 24, 12, 12], [3, 3], { padding: 1, stride: 2 }]],
    ['large kernels', [[4, 40, 8, 8], [5, 5], { padding: 2 }]],
    ['both', [[4, 32, 9, 9], [5, 5], { padding: 2, stride: 2 }]],
  ] as [string, Geometry][])('in bfloat16 are those of float64 within its rounding: %s', (_, geometry) =>
    scope(() => {
      const half = autocast('cpu', 'bfloat16', () => found('float32', geometry));
      expect(half[0]!.dtype).toBe('bfloat16');
      for (const [i, exact] of found('float64', geometry).entries())
        expect(far(half[i]!, exact)).toBeLessThan(0.01);
    }),
  );

  it('refuse what does not fit', () =>
    scope(() => {
      const call =
        (x: Tensor, weight: Tensor, zeros = [2, 2]) =>
        () =>
          native.depthwiseConvolution(x.handle, weight.handle, null, [1, 1], zeros, [1, 1], false);
      const [x, weight] = [randn([1, 8, 4, 4]), randn([8, 1, 5, 5])];
      expect(call(x, weight, [0, 0])).toThrow(/the kernel must fit into the maps and their zeros/);
      expect(call(x, randn([16, 1, 5, 5]))).toThrow(/as many kernels as channels, a multiple of 8/);
      expect(call(x.to('bfloat16'), weight)).toThrow(/the maps must be float32/);
      expect(call(x, weight, [2])).toThrow(/expected two numbers each/);
    }));
});
