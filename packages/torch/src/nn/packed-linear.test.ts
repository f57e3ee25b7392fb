import { expect, it } from 'vitest';
import { native } from '../binding.js';
import { autocast, enableGrad, Generator, nn, noGrad, randn, scope, type Tensor } from '../index.js';
import { packedLinear, packedWeights, suitsPackedLinear } from './packed-linear.js';

const product = (x: Tensor, { weight, bias }: { weight: Tensor; bias: Tensor }) =>
  packedLinear(x, weight, bias);

const generator = new Generator(1);

/** In double precision by libtorch's product. */
const exactly = (x: Tensor, weight: Tensor, bias: Tensor | null) => {
  const products = x.to('float64').matmul(weight.detach().to('float64').t());
  return bias === null ? products : products.add(bias.detach().to('float64'));
};

it.each([
  [[1, 8], 8],
  [[7, 3], 16],
  [[2, 197, 384], 1152],
  [[3, 5, 40], 24],
  [[384], 512],
  [[0, 16], 8],
  [[1, 2000], 40],
])('is the product, of rows %j with weights of %i outputs', (shape, outputs) => {
  const inputs = shape.at(-1)!;
  scope(() => {
    const x = randn(shape, { generator });
    const weight = randn([outputs, inputs], { generator });
    for (const bias of [null, randn([outputs], { generator })]) {
      const y = product(x, packedWeights(weight, bias));
      const wanted = exactly(x, weight, bias);
      expect(y.shape).toEqual(wanted.shape);
      if (y.numel() === 0) continue;
      expect(y.to('float64').sub(wanted).abs().max().item()).toBeLessThan(2e-6 * inputs);
    }
  });
});

it('takes rows as they lie, gives each the same bits whatever is beside it, and shows a NaN', () => {
  scope(() => {
    const x = randn([40, 64], { generator });
    const weights = packedWeights(randn([24, 64], { generator }), randn([24], { generator }));
    const all = product(x, weights).toNumbers();
    for (const at of [0, 5, 39])
      expect(product(x.narrow(0, at, 1), weights).toNumbers()).toEqual(all.slice(24 * at, 24 * at + 24));
    const across = product(x.t().contiguous().t(), weights);
    expect(across.toNumbers()).toEqual(all);
    noGrad(() => x.select(0, 3).fill_(Number.NaN));
    const told = product(x, weights).toNumbers();
    expect([...told.keys()].filter((at) => Number.isNaN(told[at])).map((at) => Math.floor(at / 24))).toEqual(
      Array(24).fill(3),
    );
  });
});

it('is what a linear layer does where what it makes of its weights is kept, and nowhere else', () => {
  scope(() => {
    const layer = new nn.Linear(16, 24, { generator });
    const x = randn([5, 16], { generator });
    const wanted = exactly(x, layer.weight, layer.bias);
    using _ = layer.keepDerived();
    const far = (y: Tensor) => y.detach().to('float64').sub(wanted).abs().max().item();
    expect(far(enableGrad(() => layer.forward(x)))).toBeLessThan(1e-5);
    expect(layer.ready.kept).toBe(null);
    expect(far(noGrad(() => layer.forward(x)))).toBeLessThan(1e-5);
    // On a processor with wider vectors than the kernels know, libtorch's product stays.
    expect(layer.ready.kept !== null).toBe(native.packsProducts());
    noGrad(() => layer.weight.mul_(2));
    expect(far(noGrad(() => layer.forward(x)))).toBeGreaterThan(0.1);
  });
});

it('is for float32 rows of the right length, and outputs in eights', () => {
  scope(() => {
    const suits = (x: Tensor, outputs = 8) => suitsPackedLinear(x, randn([outputs, 16]));
    expect(suits(randn([2, 16]))).toBe(native.packsProducts());
    expect(suits(randn([2, 16]), 12)).toBe(false);
    expect(suits(randn([2, 15]))).toBe(false);
    expect(suits(randn([2, 16]).to('float64'))).toBe(false);
    autocast('cpu', 'bfloat16', () => expect(suits(randn([2, 16]))).toBe(false));
  });
});
