import { createHash } from 'node:crypto';
import { Generator, liveTensors, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { smallBackbones } from '../../testing/small-backbones.js';
import { pooledFeatures } from '../layers/pooled-features.js';
import type { Backbone } from './backbone.js';
import { SmallResNet } from './small-resnet.js';

const families: Record<string, (generator: Generator) => Backbone> = {
  ...Object.fromEntries(
    ['resnet', 'vit', 'efficientnet', 'efficientnet-lite', 'mobilenetv2', 'mobilenetv3'].map((name) => [
      name,
      smallBackbones[name]!,
    ]),
  ),
  'small-resnet': (generator) => new SmallResNet({ widths: [4, 8], depths: 2, generator }),
};
const images = (dtype: 'float32' | 'float64') =>
  scope(() => randn([2, 3, 32, 32], { generator: new Generator(2) }).to(dtype));
const digest = (x: Tensor) => createHash('sha256').update(x.toTypedArray()).digest('hex');
const gradients = (backbone: Backbone, x: Tensor) => {
  const rows = scope(() => {
    const features = pooledFeatures(backbone, x, 'avg');
    if (features.requiresGrad) features.square().sum().backward();
    return digest(features.detach());
  });
  return [rows, [...backbone.namedParameters()].map(([name, { grad }]) => [name, grad && digest(grad)])];
};

it.each(Object.keys(families))(
  '%s: what its first layers made goes on through the others, with the same features and gradients',
  (name) => {
    for (const dtype of ['float32', 'float64'] as const) {
      const build = () => {
        const backbone = families[name]!(new Generator(1));
        return backbone.to({ dtype });
      };
      using x = images(dtype);
      using first = build();
      const depth = first.parametersByDepth().length;
      const half = Math.floor(depth / 2);
      for (const below of dtype === 'float64' ? [half] : [1, half, depth - 1, depth]) {
        using whole = build();
        whole.freezeBelow(below);
        const wanted = gradients(whole, x);
        using parts = build();
        parts.freezeBelow(below);
        parts.keptBelow = below;
        const alive = liveTensors();
        using kept = noGrad(() => parts.through!(x, 0, below));
        expect(liveTensors()).toBe(alive + 1);
        expect(gradients(parts, kept), `${dtype} below ${below}`).toEqual(wanted);
        // Images still go through all.
        expect(gradients(parts, x)[0], `${dtype} below ${below}`).toEqual(wanted[0]);
      }
    }
  },
);
