import { Generator, nn, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { buildNamed } from '../../named-part.js';
import type { Backbone } from '../backbones/backbone.js';
import { OwnBackbone } from '../backbones/own-backbone.js';
import { SmallResNet } from '../backbones/small-resnet.js';
import { type NamedTuning, tunings } from './tunings.js';

class Block extends nn.Module {
  readonly attn = new nn.Sequential(new nn.Linear(4, 4, { generator: new Generator(1) }));
  readonly mlp = new nn.Sequential(new nn.Linear(4, 8, { generator: new Generator(2) }), new nn.Linear(8, 4));
}

class Small extends nn.Module {
  readonly featureSize = 4;
  readonly patch = new nn.Linear(3, 4, { generator: new Generator(3) });
  readonly blocks = [new Block(), new Block()];
  features(images: Tensor): Tensor {
    return scope(() => {
      let x = this.patch.forward(images.mean([2, 3]));
      for (const { attn, mlp } of this.blocks) x = mlp.forward(attn.forward(x));
      return x;
    });
  }
}

const tune = (backbone: Backbone, named: NamedTuning) =>
  buildNamed(tunings, named, { backbone, generator: new Generator(5) }, 'model.tuning');

const trained = (backbone: Backbone) =>
  [...backbone.namedParameters()].flatMap(([name, { requiresGrad }]) => (requiresGrad ? [name] : []));

it.each([
  ['attention', ['attn.0']],
  ['mlp', ['mlp.0', 'mlp.1']],
  ['both', ['attn.0', 'mlp.0', 'mlp.1']],
] as const)('lora lets narrow matrices of %s learn, and nothing else', (layers, places) => {
  using backbone = new OwnBackbone(new Small());
  tune(backbone, { name: 'lora', rank: 2, layers });
  expect(trained(backbone)).toEqual(
    [0, 1].flatMap((block) =>
      places.flatMap((place) =>
        ['lora_a', 'lora_b'].map((matrix) => `blocks.${block}.${place}.adapter.${matrix}`),
      ),
    ),
  );
  using images = randn([2, 3, 4, 4], { generator: new Generator(6) });
  using before = backbone.features(images);
  for (const [name, parameter] of backbone.namedParameters())
    if (name.endsWith('lora_b')) noGrad(() => parameter.fill_(0.5));
  using after = backbone.features(images);
  expect(after.sub(before).abs().max().item()).toBeGreaterThan(1e-3);
});

it('lora refuses a backbone without such layers, in words', () => {
  using backbone = new SmallResNet({ widths: [4] });
  expect(() => tune(backbone, { name: 'lora' })).toThrow(
    /^model\.tuning\.name: lora is for the linear layers of a transformer's blocks, and small-resnet has none/,
  );
});

it('full freezes the layers below a depth: weights, statistics and skipped blocks', () => {
  using backbone = new SmallResNet({ widths: [4, 8], depths: 2, dropPath: 0.5, generator: new Generator(7) });
  tune(backbone, { name: 'full', freezeBelow: 2 });
  expect(trained(backbone).every((name) => /^layer(1\.1|2)/.test(name))).toBe(true);
  expect(trained(backbone).length).toBeGreaterThan(0);
  const state = () => [...backbone.stateDict()].map(([name, tensor]) => [name, tensor.tolist()] as const);
  const before = new Map(state());
  scope(() => backbone.train().features(randn([2, 3, 16, 16], { generator: new Generator(8) })));
  const moved = state().flatMap(([name, value]) =>
    JSON.stringify(value) === JSON.stringify(before.get(name)) ? [] : [name],
  );
  expect(moved.every((name) => /^layer(1\.1|2)/.test(name))).toBe(true);
  expect(moved.length).toBeGreaterThan(0);
  const rates = [...backbone.namedModules()].flatMap(([, m]) => (m instanceof nn.DropPath ? [m.p] : []));
  expect(rates).toEqual([0, expect.closeTo(1 / 6), expect.closeTo(1 / 3), 0.5]);
  tune(backbone, { name: 'full', freezeBelow: 5 });
  expect(trained(backbone)).toEqual([]);
  expect(() => tune(backbone, { name: 'full', freezeBelow: 6 })).toThrow(
    /^model\.tuning\.freezeBelow: expected at most 5, the layers of small-resnet/,
  );
});
