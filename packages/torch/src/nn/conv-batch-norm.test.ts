import { describe, expect, it } from 'vitest';
import { liveTensors, nn, noGrad, rand, randn, scope, type Tensor } from '../index.js';

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

  it('folds anew at each call, unless told to keep; with gradients always', () => {
    const { convolution, norm } = pair();
    const block = new nn.Sequential(convolution, norm);
    const x = randn([1, 4, 5, 5], { dtype: 'float64' });
    const value = () => scope(() => noGrad(() => block.forward(x).sum().item()));
    const withGradient = () => scope(() => block.forward(x).sum().item());
    const live = liveTensors();
    const first = value();
    expect(withGradient()).toBe(first);
    nn.keepFolded(block, true);
    expect(value()).toBe(first);
    expect(liveTensors()).toBe(live + 2);
    noGrad(() => norm.bias?.add_(1));
    expect(value()).toBe(first);
    expect(withGradient()).not.toBe(first);
    nn.keepFolded(block, false);
    expect(value()).not.toBe(first);
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
    const fresh = value();
    nn.keepFolded(norm, true);
    expect(value()).toEqual(fresh);
    expect(value()).toEqual(fresh);
    nn.keepFolded(norm, false);
  });

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
