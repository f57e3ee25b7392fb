import { describe, expect, it } from 'vitest';
import { aten, Generator, nn, noGrad, ones, rand, randn, scope, type Tensor } from '../index.js';

const generator = new Generator(1);

interface Shape {
  from: number;
  to: number;
  kernel: number | [number, number];
  stride?: number | [number, number];
  padding?: number | [number, number];
  each?: boolean;
}

/** With statistics that do something, as they are outside of training. */
function layers({ from, to, kernel, stride = 1, padding = 0, each = false }: Shape): {
  convolution: nn.Conv2d;
  norm: nn.BatchNorm2d;
} {
  const groups = each ? from : 1;
  const convolution = new nn.Conv2d(from, to, kernel, { stride, padding, groups, bias: false, generator });
  const norm = new nn.BatchNorm2d(to);
  noGrad(() => {
    norm.runningMean.copy_(randn([to], { generator }));
    norm.runningVar.copy_(rand([to], { generator }).add_(0.5));
    norm.bias?.copy_(randn([to], { generator }));
  });
  norm.eval();
  return { convolution, norm };
}

/** In double precision by operators, which no kernel of ours takes. */
function exactly(
  x: Tensor,
  { convolution, norm }: ReturnType<typeof layers>,
  options: nn.ConvBatchNormOptions,
) {
  const wide = (tensor: Tensor | null) => tensor?.to('float64') ?? null;
  const other = new nn.Conv2d(convolution.inChannels, convolution.outChannels, convolution.kernelSize, {
    ...convolution.options,
    bias: false,
    dtype: 'float64',
  });
  const otherNorm = new nn.BatchNorm2d(norm.numFeatures, { dtype: 'float64' });
  other.loadStateDict(convolution.stateDict());
  otherNorm.loadStateDict(norm.stateDict());
  otherNorm.eval();
  const given = { ...options, added: wide(options.added ?? null) };
  return noGrad(() => nn.convBatchNorm(x.to('float64'), other, otherNorm, given));
}

const largest = (a: Tensor, b: Tensor) => (a.numel() === 0 ? 0 : a.sub(b).abs().max().item());

/** By the kernels: that it is they is told by the form in which the weight is kept. */
function kept(x: Tensor, { convolution, norm }: ReturnType<typeof layers>, options: nn.ConvBatchNormOptions) {
  using _ = norm.keepDerived();
  const y = noGrad(() => nn.convBatchNorm(x, convolution, norm, options));
  const weight = norm.folded.kept?.weight;
  expect(weight?.shape).not.toEqual(convolution.weight.shape);
  return y;
}

describe('a convolution by kernels of our own', () => {
  const shapes: [Shape, number[]][] = [
    [{ from: 5, to: 8, kernel: 1 }, [2, 5, 3, 4]],
    [{ from: 16, to: 24, kernel: 1, stride: 2 }, [1, 16, 7, 9]],
    [{ from: 96, to: 40, kernel: 1 }, [3, 96, 41, 40]],
    [{ from: 640, to: 320, kernel: 1 }, [1, 640, 7, 7]],
    [{ from: 8, to: 16, kernel: 1, padding: 1 }, [2, 8, 3, 3]],
    [{ from: 3, to: 32, kernel: 5, stride: 2, padding: 1 }, [2, 3, 65, 33]],
    [{ from: 12, to: 8, kernel: [3, 5], stride: [1, 2], padding: [0, 2] }, [1, 12, 6, 8]],
    [{ from: 24, to: 56, kernel: 7, padding: 3 }, [1, 24, 20, 20]],
    [{ from: 8, to: 8, kernel: 3, padding: 1, each: true }, [1, 8, 1, 1]],
    [{ from: 8, to: 8, kernel: 5, padding: 2, each: true }, [2, 8, 2, 3]],
    [{ from: 96, to: 96, kernel: 3, padding: 1, each: true }, [2, 96, 57, 56]],
    [{ from: 24, to: 24, kernel: 3, stride: 2, padding: 1, each: true }, [1, 24, 28, 27]],
    [{ from: 144, to: 144, kernel: 5, padding: 2, each: true }, [1, 144, 28, 28]],
    [{ from: 40, to: 40, kernel: 5, stride: 2, padding: 2, each: true }, [3, 40, 14, 15]],
    [{ from: 16, to: 16, kernel: 5, each: true }, [1, 16, 5, 12]],
    [{ from: 16, to: 16, kernel: 3, padding: 1 }, [0, 16, 5, 5]],
  ];
  it.each(shapes)('computes %j of %j', (shape, size) => {
    const both = layers(shape);
    const x = randn(size, { generator });
    const plain = exactly(x, both, {});
    expect(largest(kept(x, both, {}), plain)).toBeLessThan(1e-4);
    expect(kept(x, both, {}).shape).toEqual(plain.shape);
    const added = randn(plain.shape, { generator });
    for (const activation of ['relu', 'relu6', null] as const)
      expect(
        largest(kept(x, both, { added, activation }), exactly(x, both, { added, activation })),
      ).toBeLessThan(1e-4);
  });

  it.each([
    [3, 2, { top: 0, bottom: 1, left: 0, right: 1 }],
    [5, 2, { top: 1, bottom: 2, left: 2, right: 1 }],
    [5, 1, { top: 0, bottom: 3, left: 4, right: 0 }],
  ])('puts zeros around, a kernel of %i, stride %i, %o', (kernel, stride, zeros) => {
    for (const each of [true, false]) {
      const both = layers({ from: 16, to: 16, kernel, stride, each });
      const x = randn([2, 16, 12, 9], { generator });
      expect(largest(kept(x, both, { zeros }), exactly(x, both, { zeros }))).toBeLessThan(1e-4);
    }
  });

  it('reads maps and sums in any layout, and gives channels_last', () => {
    const both = layers({ from: 8, to: 8, kernel: 1 });
    const x = randn([2, 8, 6, 5], { generator }).transpose(2, 3);
    const added = randn([8, 2, 5, 6], { generator }).transpose(0, 1);
    const y = kept(x, both, { added });
    expect(y.strides).toEqual([240, 1, 48, 8]);
    expect(largest(y, exactly(x, both, { added }))).toBeLessThan(1e-5);
  });

  it.each([Number.NaN, Infinity, -Infinity])('shows a %d where operators show it', (bad) => {
    for (const shape of shapes.map(([each]) => each)) {
      const both = layers({ ...shape, padding: 1 });
      const x = randn([2, shape.from, 9, 9], { generator });
      x.narrow(0, 1, 1)
        .narrow(1, shape.from - 1, 1)
        .narrow(2, 3, 1)
        .narrow(3, 8, 1)
        .fill_(bad);
      for (const activation of ['relu6', 'relu', null] as const) {
        const kinds = (y: Tensor) => Array.from(y.toNumbers(), (n) => (Number.isFinite(n) ? 0 : `${n}`));
        expect(kinds(kept(x, both, { activation }))).toEqual(kinds(exactly(x, both, { activation })));
      }
    }
  });

  it('is made anew when weights change, and is not used with gradients', () => {
    const { convolution, norm } = layers({ from: 8, to: 8, kernel: 1 });
    using _ = norm.keepDerived();
    const x = ones([1, 8, 2, 2]);
    const value = () => scope(() => noGrad(() => nn.convBatchNorm(x, convolution, norm).sum().item()));
    const before = value();
    noGrad(() => convolution.weight.add_(1));
    expect(Math.abs(value() - before)).toBeGreaterThan(1);
    const y = nn.convBatchNorm(x, convolution, norm, { activation: 'relu' });
    y.sum().backward();
    expect(convolution.weight.grad?.shape).toEqual([8, 8, 1, 1]);
  });

  it('leaves to operators what there is no kernel for', () => {
    const odd: [Shape, number[]][] = [
      [{ from: 4, to: 6, kernel: 3 }, [1, 4, 5, 5]],
      [{ from: 8, to: 8, kernel: 7, padding: 3, each: true }, [1, 8, 9, 9]],
      [{ from: 8, to: 8, kernel: 3, stride: 3, each: true }, [1, 8, 9, 9]],
      [{ from: 8, to: 16, kernel: 3, each: true }, [1, 8, 9, 9]],
    ];
    for (const [shape, size] of odd) {
      const both = layers(shape);
      const x = randn(size, { generator });
      const added = aten.zeros_like(exactly(x, both, {}).to('float32'));
      using _ = both.norm.keepDerived();
      const y = noGrad(() =>
        nn.convBatchNorm(x, both.convolution, both.norm, { added, activation: 'relu6' }),
      );
      expect(both.norm.folded.kept?.weight.ndim).toBe(4);
      expect(both.norm.folded.kept?.weight.shape).toEqual(both.convolution.weight.shape);
      expect(largest(y, exactly(x, both, { added, activation: 'relu6' }))).toBeLessThan(1e-4);
    }
  });
});
