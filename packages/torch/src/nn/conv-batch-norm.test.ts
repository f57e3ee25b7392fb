import { describe, expect, it } from 'vitest';
import { aten, liveTensors, nn, noGrad, rand, randn, scope, type Tensor } from '../index.js';

interface Pair {
  convolution: nn.Conv2d;
  norm: nn.BatchNorm2d;
}

/** With statistics, weights and biases that do something. */
function pair({ bias = false, affine = true, frozen = true, groups = 1 } = {}): Pair {
  const convolution = new nn.Conv2d(4, 6, 3, {
    padding: 1,
    stride: 2,
    bias,
    groups: groups,
    dtype: 'float64',
  });
  const norm = new nn.BatchNorm2d(6, { affine, frozen, dtype: 'float64' });
  noGrad(() => {
    norm.runningMean.copy_(randn([6]));
    norm.runningVar.copy_(rand([6]).add_(0.1));
    norm.weight?.copy_(randn([6]));
    norm.bias?.copy_(randn([6]));
  });
  return { convolution, norm };
}

/** Output and the gradients of the input and of every parameter, as plain numbers. */
function outcome({ convolution, norm }: Pair, x: Tensor, forward: (x: Tensor) => Tensor): number[][] {
  return scope(() => {
    const parameters = [x, ...convolution.parameters(), ...norm.parameters()];
    for (const each of parameters) each.grad = null;
    const y = forward(x);
    y.mul(randnLike(y)).sum().backward();
    return [y, ...parameters.map(({ grad }) => grad as Tensor)].map((each) => [...each.toNumbers()]);
  });
}

const difference = (a: Tensor, b: Tensor) => scope(() => a.sub(b).abs().max().item());

const randnLike = (x: Tensor) => x.detach().mul(12.9898).sin();

describe('convBatchNorm', () => {
  it.each([{}, { bias: true }, { affine: false }, { bias: true, affine: false }, { groups: 2, bias: true }])(
    'gives the values and gradients of the two layers with frozen statistics: %o',
    (options) => {
      const both = pair(options);
      const { convolution, norm } = both;
      const x = randn([3, 4, 7, 7], { dtype: 'float64' }).requiresGrad_();
      const folded = outcome(both, x, () => nn.convBatchNorm(x, convolution, norm));
      const apart = outcome(both, x, () => norm.forward(convolution.forward(x)));
      expect(folded.length).toBe(apart.length);
      for (const [i, numbers] of folded.entries()) {
        const expected = apart[i] as number[];
        const scale = Math.max(...expected.map(Math.abs));
        expect(scale).toBeGreaterThan(0);
        for (const [k, value] of numbers.entries())
          expect(Math.abs(value - (expected[k] as number))).toBeLessThan(1e-12 * scale);
      }
    },
  );

  it('normalises by the batch where BatchNorm is trained, bit for bit as the two layers', () => {
    const both = pair({ frozen: false });
    const other = pair({ frozen: false });
    other.convolution.loadStateDict(both.convolution.stateDict());
    other.norm.loadStateDict(both.norm.stateDict());
    const x = randn([3, 4, 7, 7], { dtype: 'float64' }).requiresGrad_();
    const together = outcome(both, x, () => nn.convBatchNorm(x, both.convolution, both.norm));
    const apart = outcome(other, x, () => other.norm.forward(other.convolution.forward(x)));
    expect(together).toEqual(apart);
    expect(both.norm.runningVar.tolist()).toEqual(other.norm.runningVar.tolist());
    expect(both.norm.numBatchesTracked.item()).toBe(1);
  });

  it('folds anew where it is not kept, with gradients always, and after a change', () => {
    const { convolution, norm } = pair();
    const block = new nn.Sequential(convolution, norm);
    const x = randn([1, 4, 5, 5], { dtype: 'float64' });
    const value = () => scope(() => noGrad(() => block.forward(x).sum().item()));
    const withGradient = () => scope(() => block.forward(x).sum().item());
    const live = liveTensors();
    const first = value();
    expect(withGradient()).toBe(first);
    {
      using _ = block.keepDerived();
      expect(value()).toBe(first);
      const kept = norm.folded.kept;
      expect(value()).toBe(first);
      expect(norm.folded.kept).toBe(kept);
      expect(liveTensors()).toBe(live + 2);
      noGrad(() => norm.bias?.add_(1));
      const second = value();
      expect(second).not.toBe(first);
      expect(withGradient()).toBe(second);
      expect(liveTensors()).toBe(live + 2);
    }
    expect(liveTensors()).toBe(live);
  });

  it('keeps folded convolutions in the blocked layout too, with the same results', () => {
    const convolution = new nn.Conv2d(16, 24, 3, { stride: 2, padding: 1 });
    const norm = new nn.BatchNorm2d(24);
    noGrad(() => norm.runningMean.copy_(randn([24])));
    norm.eval();
    const x = randn([2, 16, 9, 7]);
    const value = () =>
      noGrad(() => nn.inBlockedLayout(x, (input) => nn.convBatchNorm(input, convolution, norm))).tolist();
    const plain = () => noGrad(() => nn.convBatchNorm(x, convolution, norm));
    const [fresh, freshPlain] = [value(), plain()];
    using _ = norm.keepDerived();
    expect(value()).toEqual(fresh);
    expect(value()).toEqual(fresh);
    // The plain layout has another form of the weight, and takes turns with it.
    expect(difference(plain(), freshPlain)).toBeLessThan(1e-5);
    expect(plain().strides).toEqual([24 * 20, 1, 24 * 4, 24]);
    expect(value()).toEqual(fresh);
  });

  it.each([
    [3, 2, { top: 0, bottom: 1, left: 0, right: 1 }],
    [3, 2, { top: 1, bottom: 1, left: 0, right: 1 }],
    [5, 2, { top: 1, bottom: 2, left: 2, right: 2 }],
    [5, 1, { top: 2, bottom: 2, left: 2, right: 2 }],
  ])(
    'puts zeros around maps, a kernel of %i, stride %i, %o, also where it is kept',
    (kernel, stride, zeros) => {
      for (const groups of [1, 16]) {
        const convolution = new nn.Conv2d(16, 16, kernel, { stride, groups, bias: false });
        const norm = new nn.BatchNorm2d(16);
        noGrad(() => norm.runningMean.copy_(randn([16])));
        norm.eval();
        const x = randn([2, 16, 12, 9]);
        const fresh = noGrad(() => nn.convBatchNorm(x, convolution, norm, { zeros }));
        const { top, bottom, left, right } = zeros;
        const padded = aten.constant_pad_nd(x, [left, right, top, bottom]);
        expect(difference(norm.forward(convolution.forward(padded)).detach(), fresh)).toBeLessThan(1e-5);
        using _ = norm.keepDerived();
        const kept = (input: Tensor) => noGrad(() => nn.convBatchNorm(input, convolution, norm, { zeros }));
        expect(difference(kept(x), fresh)).toBeLessThan(1e-5);
        expect(
          difference(
            noGrad(() => nn.inBlockedLayout(x, kept)),
            fresh,
          ),
        ).toBeLessThan(1e-5);
      }
    },
  );

  it('leaves only its result', () => {
    for (const frozen of [true, false]) {
      const { convolution, norm } = pair({ frozen });
      const x = randn([2, 4, 5, 5], { dtype: 'float64' });
      const live = liveTensors();
      nn.convBatchNorm(x, convolution, norm).dispose();
      expect(liveTensors()).toBe(live);
    }
  });
});
