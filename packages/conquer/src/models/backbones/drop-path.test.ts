import { Generator, nn, noGrad, randn } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createBackbone, type NamedBackbone } from '../create-model.js';

const named = (name: string, dropPath: number) => ({ name, dropPath }) as NamedBackbone;

it.each([
  ['vit_tiny_patch16_224.augreg_in21k', 12],
  ['vit_small_patch16_dinov3.lvd1689m', 12],
  ['convnext_tiny.in12k_ft_in1k', 18],
  ['swin_tiny_patch4_window7_224.ms_in1k', 12],
  ['resnet50.a1_in1k', 16],
  ['tf_efficientnet_lite0.in1k', 9],
  ['mobilenetv3_large_100.ra_in1k', 10],
])('%s skips its blocks at rates that rise evenly from 0', (name, blocks) => {
  const backbone = createBackbone(named(name, 0.3), { device: 'meta' });
  const rates = [...backbone.namedModules()].flatMap(([, each]) =>
    each instanceof nn.DropPath ? [each.p] : [],
  );
  expect(rates).toEqual(nn.dropPathRates(0.3, blocks));
});

it.each(['vit_small_patch16_dinov3.lvd1689m', 'swin_tiny_patch4_window7_224.ms_in1k'])(
  '%s never decays tokens and tables of positions',
  (name) => {
    const backbone = createBackbone(named(name, 0), { device: 'meta' });
    const undecayed = new Set(backbone.undecayed());
    const names = [...backbone.namedParameters()].flatMap(([own, each]) =>
      undecayed.has(each) ? [own] : [],
    );
    expect(names.length).toBeGreaterThan(1);
    for (const own of names) expect(own).toMatch(/token$|pos_embed$|bias_table$/);
  },
);

it('a ConvNeXt with drop path is drawn from its generator in training, and is whole in evaluation', () => {
  const rows = (dropPath: number, seed: number, train: boolean) => {
    const generators = { generator: new Generator(1), dropoutGenerator: new Generator(seed) };
    using backbone = createBackbone(named('convnext_atto.d2_in1k', dropPath), generators);
    using images = randn([2, 3, 32, 32], { generator: new Generator(2) });
    using features = noGrad(() => backbone.train(train).features(images));
    return features.tolist();
  };
  const whole = rows(0, 1, true);
  expect(rows(0.8, 1, false)).toEqual(whole);
  expect(rows(0.8, 1, true)).toEqual(rows(0.8, 1, true));
  expect(rows(0.8, 1, true)).not.toEqual(whole);
});
