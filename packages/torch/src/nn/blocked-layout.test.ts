import { describe, expect, it } from 'vitest';
import { aten, Generator, nn, noGrad, ones, randn, scope, type Tensor } from '../index.js';

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

  const channels = [3, 8, 12, 16, 40]; // oneDNN lays 8 or 16 together, and fills the rest with zeros
  it.each(channels)('keeps what is not finite as the plain layout does, of %i channels', (channels) => {
    const layers: [string, (x: Tensor) => Tensor][] = [
      ['clamp_', (x) => aten.clamp_(x.clone(), 0, 6)],
      ['relu', (x) => aten.relu(x)],
      ['relu_', (x) => aten.relu_(x.clone())],
      ['max_pool2d 3', (x) => aten.max_pool2d(x, [3, 3], [2, 2], [1, 1])],
      ['max_pool2d 2', (x) => aten.max_pool2d(x, [2, 2], [2, 2])],
      ['max_pool2d up', (x) => aten.max_pool2d(x, [3, 3], [2, 2], [0, 0], [1, 1], true)],
      ['avg_pool2d', (x) => aten.avg_pool2d(x, [2, 2], [2, 2])],
      ['sum', (x) => aten.add$Tensor(x, x)],
      ['conv2d', (x) => aten.conv2d(x, ones([8, channels, 3, 3]), null, [1, 1], [1, 1])],
      ['batch_norm', (x) => new nn.BatchNorm2d(channels).forward(x)],
    ];
    for (const [name, layer] of layers)
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const x = randn([2, channels, 7, 5], { generator });
        x.narrow(0, 1, 1)
          .narrow(1, channels - 1, 1)
          .narrow(2, 3, 1)
          .narrow(3, 2, 1)
          .fill_(value);
        const kind = (y: Tensor) =>
          Array.from(y.toNumbers(), (n) => (Number.isFinite(n) ? 'finite' : `${n}`));
        const blocked = scope(() => kind(nn.inBlockedLayout(x.clone(), layer)));
        expect([name, value, blocked]).toEqual([name, value, kind(layer(x.clone()))]);
      }
  });

  it('gives the gradient of the plain layout where an activation is NaN', () => {
    const weights = [make([8, 5, 3, 3]), make([8, 8, 3, 3])];
    const broken = make([2, 5, 6, 6]).detach();
    broken.narrow(0, 0, 1).narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1).fill_(Number.NaN);
    const { maps, gradients } = outcome(broken.requiresGrad_(), weights, nn.inBlockedLayout);
    expect(maps.some(Number.isNaN)).toBe(true);
    expect(gradients.flat().some(Number.isNaN)).toBe(true);
  });

  it('shows sums that overflow within the network', () => {
    const x = make([2, 5, 6, 6]);
    const weights = [noGrad(() => make([8, 5, 3, 3]).fill_(3e38)), make([8, 8, 3, 3])];
    const { maps } = outcome(x, weights, nn.inBlockedLayout);
    expect(maps.some(Number.isNaN)).toBe(true);
  });
});
