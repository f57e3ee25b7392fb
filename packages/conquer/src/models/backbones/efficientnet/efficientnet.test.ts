import { Generator, liveTensors, noGrad, randn, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { createBackbone, type ModelName } from '../../create-model.js';
import { imageNet } from '../../weights/published.js';
import { EfficientNet } from './efficientnet.js';
import type { EfficientNetShape } from './efficientnet-plan.js';

const small: EfficientNetShape = { kind: 'efficientnet-lite', width: 0.25, depth: 0.3, tensorflow: true };
const network = (shape = small, seed = 1) =>
  new EfficientNet('small', shape, imageNet(64), { generator: new Generator(seed) });

describe('EfficientNet', () => {
  // timm's counts without a classifier.
  it.each([
    ['efficientnet_b0.ra_in1k', 4_007_548],
    ['efficientnet_b4.ra2_in1k', 17_548_616],
    ['tf_efficientnet_lite0.in1k', 3_371_008],
    ['tf_efficientnet_lite2.in1k', 4_811_072],
  ] as const)('%s has so many numbers', (name: ModelName, count) => {
    using backbone = createBackbone(name, { device: 'meta' });
    expect(backbone.parameters().reduce((sum, each) => sum + each.numel(), 0)).toBe(count);
    const byDepth = backbone.parametersByDepth().flat();
    expect(new Set(byDepth).size).toBe(backbone.parameters().length);
  });

  it.each([32, 33, 47, 64])('halves a side of %i five times, rounded up', (side) => {
    for (const tensorflow of [true, false]) {
      using backbone = network({ ...small, tensorflow });
      backbone.eval();
      using images = zeros([1, 3, side, side + 32]);
      const live = liveTensors();
      using maps = noGrad(() => backbone.features(images));
      expect(maps.shape).toEqual([1, 1280, Math.ceil(side / 32), Math.ceil((side + 32) / 32)]);
      expect(liveTensors()).toBe(live + 1);
    }
  });

  it.each(['efficientnet-lite', 'mobilenetv2', 'efficientnet'] as const)(
    'gives the same where it keeps what it folds, in whatever layout, and NaN where a weight is: %s',
    (kind) => {
      for (const tensorflow of [true, false])
        for (const side of [33, 48]) {
          using backbone = network({ kind, width: 0.25, depth: 0.3, tensorflow });
          backbone.eval();
          using images = randn([2, 3, side, side + 5], { generator: new Generator(3) });
          const features = () => noGrad(() => backbone.features(images));
          using fresh = features();
          using _ = backbone.keepDerived();
          for (let i = 0; i < 2; i++) {
            using kept = features();
            const largest = fresh.abs().max().item();
            expect(kept.sub(fresh).abs().max().item()).toBeLessThan(1e-5 * largest);
          }
          noGrad(() => backbone.convStem.weight.narrow(0, 0, 1).fill_(Number.NaN));
          using spoilt = features();
          expect(spoilt.sum().item()).toBeNaN();
        }
    },
  );

  it('takes the names of the first conversions, which count the blocks through', () =>
    scope(() => {
      const from = network();
      const flat = new Map<string, Tensor>();
      let block = -1;
      let last = '';
      const inFirst = { conv_dw: '_depthwise_conv', bn1: '_bn1', conv_pw: '_project_conv', bn2: '_bn2' };
      const inOthers = {
        ...{ conv_pw: '_expand_conv', bn1: '_bn0', conv_dw: '_depthwise_conv', bn2: '_bn1' },
        ...{ conv_pwl: '_project_conv', bn3: '_bn2' },
      };
      const outside = { conv_stem: '_conv_stem', bn1: '_bn0', conv_head: '_conv_head', bn2: '_bn1' };
      for (const [name, value] of from.stateDict()) {
        const [, place, layer = '', rest = ''] = /^(?:blocks\.(\d+\.\d+)\.)?(\w+)\.(\w+)$/.exec(name) ?? [];
        if (place !== undefined && place !== last) block++;
        last = place ?? last;
        const theirs: Record<string, string> =
          place === undefined ? outside : place.startsWith('0.') ? inFirst : inOthers;
        flat.set(`${place === undefined ? '' : `_blocks.${block}.`}${theirs[layer]}.${rest}`, value);
      }
      flat.set('_fc.weight', zeros([10, 1280]));
      const to = network(small, 2);
      expect(to.loadPretrained(flat)).toEqual(['_fc.weight']);
      const numbers = (of: EfficientNet) =>
        Array.from(of.stateDict(), ([name, value]) => [name, value.tolist()]);
      expect(numbers(to)).toEqual(numbers(from));
    }));
});
