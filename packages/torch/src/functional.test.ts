import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { describe, expect, it } from 'vitest';
import { native } from './binding.js';
import {
  aten,
  cat,
  F,
  Generator,
  grad,
  linspace,
  noGrad,
  ones,
  rand,
  randint,
  randn,
  scope,
  type Tensor,
  tensor,
  zeros,
} from './index.js';

const generator = new Generator(6);
const options = { generator, dtype: 'float64' } as const;
const image = randn([2, 3, 6, 5], options);
const vectors = randn([4, 5], options);
const grid = rand([2, 4, 3, 2], options).mul(2.6).sub(1.3);
const theta = randn([2, 2, 3], options);
const labels = randint(0, 5, [4], { generator });
const weight = rand([5], options);
const probabilities = rand([3], options).add(0.5);
const scoresMask = randn([6, 6], options).mul(3);

/** In Python the inputs are x (the one with gradients), y and z. */
interface Case {
  python: string;
  run(x: Tensor): Tensor;
  inputs: Tensor[];
}

const cases: Case[] = [
  { python: 'F.gelu(x)', run: (x) => F.gelu(x), inputs: [vectors] },
  {
    python: "F.gelu(x, approximate='tanh')",
    run: (x) => F.gelu(x, { approximate: 'tanh' }),
    inputs: [vectors],
  },
  { python: 'F.silu(x)', run: (x) => F.silu(x), inputs: [vectors] },
  {
    python: 'F.layer_norm(x, (6, 5), eps=0.1)',
    run: (x) => F.layerNorm(x, [6, 5], { eps: 0.1 }),
    inputs: [image],
  },
  {
    python: '(x @ y.transpose(-2, -1) / 5 ** 0.5).softmax(-1) @ y.flip(-1)',
    run: (x) => F.scaledDotProductAttention(x, image.mul(2), image.mul(2).flip([-1])),
    inputs: [image, image.mul(2)],
  },
  {
    python: '(x @ y.transpose(-2, -1) / 5 ** 0.5 + z).softmax(-1) @ y',
    run: (x) => F.scaledDotProductAttention(x, image, image, { attnMask: scoresMask }),
    inputs: [image, image, scoresMask],
  },
  { python: 'F.relu(x)', run: (x) => F.relu(x), inputs: [image] },
  { python: 'F.normalize(x)', run: (x) => F.normalize(x), inputs: [vectors] },
  {
    python: 'F.normalize(x, p=1, dim=0, eps=4.0)',
    run: (x) => F.normalize(x, { p: 1, dim: 0, eps: 4 }),
    inputs: [vectors],
  },
  { python: 'F.log_softmax(x, 1)', run: (x) => F.logSoftmax(x, 1), inputs: [vectors] },
  { python: 'F.softmax(x, 0)', run: (x) => F.softmax(x, 0), inputs: [vectors] },
  { python: 'F.cross_entropy(x, y)', run: (x) => F.crossEntropy(x, labels), inputs: [vectors, labels] },
  {
    python: 'F.cross_entropy(x, y, weight=z, label_smoothing=0.2)',
    run: (x) => F.crossEntropy(x, labels, { weight, labelSmoothing: 0.2 }),
    inputs: [vectors, labels, weight],
  },
  {
    python: 'F.cosine_similarity(x, y)',
    run: (x) => F.cosineSimilarity(x, vectors),
    inputs: [vectors.flip([0]), vectors],
  },
  {
    python: 'F.cosine_similarity(x[:, None], y[None], dim=2, eps=1e-3)',
    run: (x) => F.cosineSimilarity(x.unsqueeze(1), vectors.unsqueeze(0), { dim: 2, eps: 1e-3 }),
    inputs: [vectors, vectors],
  },
  {
    python: 'F.batch_norm(x, y, z, training=True, momentum=0.2, eps=0.1)',
    run: (x) =>
      F.batchNorm(x, zeros([3], options), probabilities.clone(), { training: true, momentum: 0.2, eps: 0.1 }),
    inputs: [image, zeros([3], options), probabilities],
  },
  {
    python: 'F.batch_norm(x, None, None, weight=y, bias=z, training=True)',
    run: (x) => F.batchNorm(x, null, null, { weight: probabilities, bias: probabilities, training: true }),
    inputs: [image, probabilities, probabilities],
  },
  {
    python: 'F.affine_grid(x, [2, 3, 4, 5], align_corners=False)',
    run: (x) => F.affineGrid(x, [2, 3, 4, 5]),
    inputs: [theta],
  },
  {
    python: 'F.affine_grid(x, [2, 3, 4, 5], align_corners=True)',
    run: (x) => F.affineGrid(x, [2, 3, 4, 5], { alignCorners: true }),
    inputs: [theta],
  },
  ...(['bilinear', 'nearest', 'bicubic'] as const).flatMap((mode) =>
    (['zeros', 'border', 'reflection'] as const).map((paddingMode) => ({
      python: `F.grid_sample(x, y, mode='${mode}', padding_mode='${paddingMode}', align_corners=False)`,
      run: (x: Tensor) => F.gridSample(x, grid, { mode, paddingMode }),
      inputs: [image, grid],
    })),
  ),
  {
    python: 'F.grid_sample(x, y, align_corners=True)',
    run: (x) => F.gridSample(x, grid, { alignCorners: true }),
    inputs: [image, grid],
  },
  { python: 'F.interpolate(x, (3, 7))', run: (x) => F.interpolate(x, { size: [3, 7] }), inputs: [image] },
  {
    python: 'F.interpolate(x, scale_factor=2)',
    run: (x) => F.interpolate(x, { scaleFactor: 2 }),
    inputs: [image],
  },
  {
    python: "F.interpolate(x, 9, mode='bilinear', align_corners=True)",
    run: (x) => F.interpolate(x, { size: 9, mode: 'bilinear', alignCorners: true }),
    inputs: [image],
  },
  {
    python: "F.interpolate(x, scale_factor=(1.7, 0.6), mode='bilinear')",
    run: (x) => F.interpolate(x, { scaleFactor: [1.7, 0.6], mode: 'bilinear' }),
    inputs: [image],
  },
  {
    python: "F.interpolate(x, (8, 3), mode='bicubic')",
    run: (x) => F.interpolate(x, { size: [8, 3], mode: 'bicubic' }),
    inputs: [image],
  },
  {
    python: "F.interpolate(x, (8, 3), mode='bicubic', antialias=True)",
    run: (x) => F.interpolate(x, { size: [8, 3], mode: 'bicubic', antialias: true }),
    inputs: [image],
  },
  {
    python: "F.interpolate(x, (3, 4), mode='bilinear', antialias=True)",
    run: (x) => F.interpolate(x, { size: [3, 4], mode: 'bilinear', antialias: true }),
    inputs: [image],
  },
];

describeWithPython('functional against PyTorch', ['torch', 'numpy'], () => {
  it('gives the same values and gradients in float64, within 1e-13', () => {
    const expected = runPython<{ value: Tensor; gradient: Tensor }[]>(
      `
        import torch.nn.functional as F
        output = []
        for case in input:
            x, y, z = (case['inputs'] + [None, None])[:3]
            x = x.clone().requires_grad_()
            value = eval(case['python'])
            (value * value.detach().sin()).sum().backward()
            output.append({'value': value, 'gradient': x.grad})
      `,
      cases.map(({ python, inputs }) => ({ python, inputs })),
    );
    for (const [index, { python, run, inputs }] of cases.entries()) {
      const x = (inputs[0] as Tensor).clone().requiresGrad_();
      const value = run(x);
      value.mul(value.detach().sin()).sum().backward();
      const peer = expected[index] as { value: Tensor; gradient: Tensor };
      expect(value.shape, python).toEqual(peer.value.shape);
      expect(value.sub(peer.value).abs().max().item(), python).toBeLessThan(1e-13);
      expect((x.grad as Tensor).sub(peer.gradient).abs().max().item(), python).toBeLessThan(1e-13);
    }
  });
});

describe('functional', () => {
  it.each(['float16', 'bfloat16'] as const)(
    'normalize in %s keeps zero vectors zero and long ones finite',
    (dtype) => {
      const rows = tensor([
        [0, 0, 0],
        [60_000, 60_000, 0],
        [1e-4, 0, 0],
      ]).to({ dtype });
      const result = F.normalize(rows);
      expect(result.dtype).toBe(dtype);
      const half = Math.SQRT1_2;
      const wanted = [0, 0, 0, half, half, 0, 1, 0, 0];
      const numbers = result.to('float32').toNumbers();
      for (const [i, value] of wanted.entries()) expect(numbers[i]).toBeCloseTo(value, 2);
    },
  );

  it('normalize leaves a zero vector zero', () => {
    expect(F.normalize(zeros([1, 3])).tolist()).toEqual([[0, 0, 0]]);
  });

  it('dropout keeps the expectation, and returns the input itself where there is nothing to drop', () => {
    const x = ones([100, 100]);
    const dropped = F.dropout(x, { p: 0.25, generator: new Generator(1) });
    expect(dropped.mean().item()).toBeCloseTo(1, 1);
    expect(dropped.max().item()).toBeCloseTo(4 / 3, 6);
    expect(F.dropout(x, { p: 0.25, training: false })).toBe(x);
    expect(F.dropout(x, { p: 0 })).toBe(x);
    expect(F.dropout(x, { p: 1 }).sum().item()).toBe(0);
    expect(() => F.dropout(x, { p: 1.5 })).toThrow('p has to be a probability from 0 to 1, not 1.5');
  });

  it('dropout carries gradients through the same mask', () => {
    const x = tensor([1, 2, 3, 4, 5, 6], { requiresGrad: true });
    const y = F.dropout(x, { p: 0.5, generator: new Generator(1) });
    y.sum().backward();
    expect(x.grad?.mul(x.detach()).tolist()).toEqual(y.tolist());
  });

  it('interpolate wants a size or a factor', () => {
    expect(() => F.interpolate(image, {})).toThrow('give either size or scaleFactor');
    expect(() => F.interpolate(image, { size: 2, scaleFactor: 2 })).toThrow(
      'give either size or scaleFactor',
    );
  });

  it('batch-norm refuses tensors without a number for each channel, which libtorch would read and write beyond', () => {
    const x = ones([14, 14]);
    const call = (weight: Tensor, mean: Tensor) =>
      aten.native_batch_norm(x, weight, ones([14]), mean, ones([14]), true, 0.1, 1e-5);
    expect(call(ones([14]), ones([14]))[0].shape).toEqual([14, 14]);
    expect(() => call(ones([13]), ones([14]))).toThrow(
      "argument 'weight': expected a number for each of 14 channels, got the shape [13]",
    );
    expect(() => call(ones([14]), ones([0]))).toThrow("argument 'running_mean': expected a number for each");
  });
});

describe.skipIf(!native.trainsInBfloat16())('gelu in bfloat16, by a kernel of our own', () => {
  it('has the values and gradients of the operator, rounded once', () => {
    scope(() => {
      const x = cat([linspace(-9, 9, 4001), tensor([0, -0, 30, -30, 1e30, -1e30, 1e-30])])
        .to('bfloat16')
        .requiresGrad_();
      const y = F.gelu(x);
      const gradient = randn(x.shape, { generator: new Generator(4) }).to('bfloat16');
      const [of] = grad(y, [x], [gradient]);
      const wide = x.detach().to('float64').requiresGrad_();
      const exact = F.gelu(wide);
      const [wanted] = grad(exact, [wide], [gradient.to('float64')]);
      // Half of the last of eight bits, and what is left of tails that float32 ends.
      for (const [got, true_] of [
        [y, exact],
        [of!, wanted!],
      ] as const) {
        const [off, size] = [got.to('float64').sub(true_).abs(), true_.abs()];
        expect(
          off
            .sub(size.mul(2 ** -8))
            .max()
            .item(),
        ).toBeLessThan(1e-6);
      }
    });
  });

  it('keeps NaN', () => {
    expect(F.gelu(tensor([Number.NaN, 1]).to('bfloat16')).toNumbers()[0]).toBeNaN();
  });
});

describe('attention of tokens among themselves', () => {
  const exactly = (qkv: Tensor, heads: number, gradient: Tensor) =>
    scope(() => {
      const wide = qkv.detach().to('float64').requiresGrad_();
      const y = F.selfAttention(wide, heads);
      return { y, of: grad(y, [wide], [gradient.to('float64')])[0]! };
    });
  const apart = (a: Tensor, b: Tensor) => scope(() => a.to('float64').sub(b).norm().item() / b.norm().item());

  it('is scaled products of queries and keys that weigh the values', () => {
    const qkv = randn([2, 5, 3 * 2 * 4], options);
    const part = (i: number) =>
      qkv
        .narrow(-1, i * 8, 8)
        .reshape([2, 5, 2, 4])
        .transpose(1, 2);
    const wanted = F.softmax(part(0).matmul(part(1).transpose(-2, -1)).div(2), -1)
      .matmul(part(2))
      .transpose(1, 2);
    expect(apart(F.selfAttention(qkv, 2), wanted.reshape([2, 5, 8]))).toBeLessThan(1e-12);
    expect(() => F.selfAttention(qkv, 5)).toThrow(
      'selfAttention: expected (B, N, 3 · 5 · d), got the shape [2, 5, 24]',
    );
  });

  it.skipIf(!native.trainsInBfloat16()).each([
    [2, 197, 6, 64],
    [1, 1, 1, 32],
    [3, 33, 2, 96],
    [1, 300, 3, 32],
    [2, 64, 2, 64],
  ])(
    'in bfloat16 by a kernel of our own: %i images of %i tokens, %i heads of %i',
    (batch, tokens, heads, size) => {
      scope(() => {
        const qkv = randn([batch, tokens, 3 * heads * size], { generator })
          .to('bfloat16')
          .requiresGrad_();
        const y = F.selfAttention(qkv, heads);
        const gradient = randn(y.shape, { generator }).to('bfloat16');
        const [of] = grad(y, [qkv], [gradient]);
        const exact = exactly(qkv, heads, gradient);
        expect(y.dtype).toBe('bfloat16');
        expect(apart(y, exact.y)).toBeLessThan(5e-3);
        expect(apart(of!, exact.of)).toBeLessThan(8e-3);
        // By rows that are no whole ones of memory, and again.
        const wide = cat([qkv, qkv], -1).narrow(-1, 0, qkv.size(-1));
        expect(F.selfAttention(wide, heads).toNumbers()).toEqual(y.toNumbers());
      });
    },
  );

  it.skipIf(!native.trainsInBfloat16())(
    'looks at what is far above all else, and keeps NaN to its image',
    () => {
      scope(() => {
        const qkv = randn([2, 9, 96], { generator }).mul(40).to('bfloat16');
        noGrad(() => qkv.select(0, 1).select(0, 3).fill_(Number.NaN));
        const y = F.selfAttention(qkv, 1);
        const exact = F.selfAttention(qkv.to('float64'), 1);
        expect(apart(y.select(0, 0), exact.select(0, 0))).toBeLessThan(5e-3);
        expect(y.select(0, 1).toNumbers().every(Number.isNaN)).toBe(true);
      });
    },
  );
});

describe('gelu without gradients, by a kernel of our own', () => {
  const gelu = (x: Tensor) => noGrad(() => F.fastGelu(x));

  it.each([1, 7, 5000, 100_000])('is x Φ(x) to rounding, of %i numbers', (count) => {
    const x = linspace(-9, 9, count);
    const far = gelu(x)
      .to('float64')
      .sub(F.gelu(x.to('float64')))
      .abs();
    expect(far.max().item()).toBeLessThan(1e-6);
  });

  it('goes on to the ends as the operator does', () => {
    const x = tensor([-Infinity, -1e30, -100, -0, 0, 100, 1e30, Infinity, Number.NaN]);
    const wanted = [Number.NaN, 0, 0, 0, 0, 100, Math.fround(1e30), Infinity, Number.NaN];
    expect([...gelu(x).toNumbers()].map(Math.abs)).toEqual(wanted);
    expect(gelu(zeros([2, 0])).shape).toEqual([2, 0]);
  });

  it('takes numbers as they lie', () => {
    const x = randn([6, 8], { generator });
    expect([...gelu(x.t()).toNumbers()]).toEqual([...gelu(x).t().toNumbers()]);
  });
});
