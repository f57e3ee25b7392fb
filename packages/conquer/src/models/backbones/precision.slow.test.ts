import { cat, Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { smallBackbones } from '../../testing/small-backbones.js';
import { pooledFeatures } from '../layers/pooled-features.js';
import type { Backbone } from './backbone.js';

/** Root mean square of the difference, in that of b. */
const apart = (a: Tensor, b: Tensor) => scope(() => a.sub(b).norm().item() / b.norm().item());

/** Pooled features, and the gradients of a loss. */
function outcome(network: Backbone, precision: Backbone['precision'], images: Tensor): [Tensor, Tensor] {
  return scope(() => {
    network.precision = precision;
    network.zeroGrad();
    const rows = pooledFeatures(network, images, 'avg');
    rows
      .mul(randn(rows.shape, { generator: new Generator(3) }))
      .sum()
      .backward();
    return [rows.detach(), cat(network.parameters().map(({ grad }) => (grad as Tensor).flatten()))];
  });
}

it.each(Object.entries(smallBackbones))(
  '%s in bfloat16: features and gradients are float32, and those of float32 but for its rounding',
  (_, build) => {
    using network = build(new Generator(1)).eval();
    using images = randn([3, 3, 64, 64], { generator: new Generator(2) });
    const before = liveTensors();
    scope(() => {
      const [rows, gradients] = outcome(network, 'float32', images);
      const [halfRows, halfGradients] = outcome(network, 'bfloat16', images);
      expect(halfRows.dtype).toBe('float32');
      expect(halfGradients.dtype).toBe('float32');
      // That it is not 0 says that it was computed in bfloat16 at all.
      expect(apart(halfRows, rows)).toBeGreaterThan(1e-5);
      expect(apart(halfRows, rows)).toBeLessThan(0.02);
      // 0.2 of a network of ReLUs: what is near 0 falls to the other side.
      expect(apart(halfGradients, gradients)).toBeLessThan(0.25);
    });
    network.zeroGrad();
    expect(liveTensors()).toBe(before);
  },
);
