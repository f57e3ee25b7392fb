import { describe, expect, it } from 'vitest';
import { aten, Generator, nn, randn, scope, type Tensor } from '../index.js';

/** The maps of two convolutions with a shortcut, ReLU and pooling, and the gradients of x and the weights. */
function outcome(
  x: Tensor,
  weights: Tensor[],
  layout: typeof nn.inBlockedLayout,
): { maps: number[]; gradients: number[][] } {
  const [first, second] = weights as [Tensor, Tensor];
  const maps = layout(x, (input) =>
    scope(() => {
      const inner = aten.conv2d(input, first, null, [1, 1], [1, 1]).relu_();
      const sum = aten.conv2d(inner, second, null, [1, 1], [1, 1]).add_(inner).relu_();
      return aten.max_pool2d(sum, [3, 3], [2, 2], [1, 1]);
    }),
  );
  for (const leaf of [x, ...weights]) leaf.grad = null;
  maps.square().sum().backward();
  const gradients = [x, ...weights].map((leaf) => [...(leaf.grad as Tensor).toNumbers()]);
  return { maps: [...maps.detach().toNumbers()], gradients };
}

describe('inBlockedLayout', () => {
  const generator = new Generator(1);
  const make = (shape: number[], dtype: 'float32' | 'float64' = 'float32') =>
    randn(shape, { generator, dtype }).requiresGrad_();
  const plainly: typeof nn.inBlockedLayout = (x, network) => network(x);

  it('gives the maps and gradients of the plain layout', () => {
    const x = make([3, 5, 9, 11]);
    const weights = [make([12, 5, 3, 3]), make([12, 12, 3, 3])];
    expect(outcome(x, weights, nn.inBlockedLayout)).toEqual(outcome(x, weights, plainly));
  });

  it('changes the layout only where it exists', () => {
    const changes = (x: Tensor) => {
      let changed = false;
      nn.inBlockedLayout(x, (input) => {
        changed = input !== x;
        return aten.relu(input);
      }).dispose();
      return changed;
    };
    expect(changes(make([1, 8, 4, 4]))).toBe(true);
    expect(changes(make([1, 8, 4, 4], 'float64'))).toBe(false);
    expect(changes(make([0, 8, 4, 4]))).toBe(false);
  });

  it('leaves no tensor but the maps', () => {
    const x = make([2, 8, 4, 4]);
    const maps = nn.inBlockedLayout(x, (input) => aten.relu(input));
    expect(maps.detach().toNumbers()).toEqual(x.relu().detach().toNumbers());
  });

  it('shows a NaN in the gradient, though its ReLU makes it a zero', () => {
    const x = make([2, 5, 6, 6]);
    const weights = [make([8, 5, 3, 3]), make([8, 8, 3, 3])];
    const broken = x.detach().mul(Number.NaN).requiresGrad_();
    const { gradients } = outcome(broken, weights, nn.inBlockedLayout);
    expect(gradients.flat().some(Number.isNaN)).toBe(true);
  });
});
