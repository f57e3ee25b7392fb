import { Generator, liveTensors, nn, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { buildNamed } from '../../named-part.js';
import { backboneGroups } from '../../optimize/layer-decay.js';
import type { DropPathContext } from '../backbones/backbone.js';
import { ViT } from '../backbones/vit/vit.js';
import type { ViTShape } from '../backbones/vit/vit-shape.js';
import { imageNetInput } from '../input-format.js';
import { type NamedTuning, tunings } from './tunings.js';

const tiny: ViTShape = { patch: 8, size: 32, width: 12, depth: 3, heads: 3 };
const build = (shape: Partial<ViTShape> = {}, context: DropPathContext = {}) =>
  new ViT('tiny', { ...tiny, ...shape }, imageNetInput, { generator: new Generator(1), ...context });
const tune = (backbone: ViT, named: NamedTuning) =>
  buildNamed(tunings, named, { backbone, generator: new Generator(5) }, 'model.tuning');
const images = () => randn([2, 3, 32, 32], { generator: new Generator(2) });
const trained = (backbone: ViT) =>
  [...backbone.namedParameters()].flatMap(([name, { requiresGrad }]) => (requiresGrad ? [name] : []));
const gradientsOf = (backbone: ViT) => {
  scope(() => backbone.features(images()).square().sum().backward());
  return [...backbone.namedParameters()].flatMap(([name, { grad }]) =>
    grad !== null && grad.abs().max().item() > 0 ? [name] : [],
  );
};

it('lora changes nothing at first, and learns beside attention and MLP of each block', () => {
  using network = build();
  using before = network.features(images());
  tune(network, { name: 'lora', rank: 2 });
  using after = network.features(images());
  expect(after.tolist()).toEqual(before.tolist());
  const layers = ['attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2'];
  expect(trained(network)).toHaveLength(3 * layers.length * 2);
  // The second matrix is 0, so that the first has no gradient yet.
  expect(gradientsOf(network)).toEqual(
    [0, 1, 2].flatMap((block) => layers.map((layer) => `blocks.${block}.${layer}.adapter.lora_b`)),
  );
});

it.each([
  [true, 3],
  [false, 1],
])(
  'prompts (deep: %s) stand among the tokens, learn alone, and are gone behind the last block',
  (deep, tables) => {
    for (const pool of ['token', 'avg', 'map'] as const) {
      using network = build({ pool, registers: 1 });
      using before = network.features(images());
      tune(network, { name: 'prompts', count: 4, deep });
      const names = Array.from({ length: tables }, (_, i) => `prompts.tables.${i}`);
      expect(trained(network)).toEqual(names);
      const alive = liveTensors();
      using after = network.features(images());
      expect(after.shape).toEqual(before.shape);
      expect(after.sub(before).abs().max().item()).toBeGreaterThan(1e-6);
      // The images, and the two of the difference.
      expect(liveTensors() - alive).toBeLessThanOrEqual(5);
      expect(gradientsOf(network)).toEqual(names);
    }
  },
);

it('prompts are what the blocks would make of tokens that stood there', () => {
  using network = build({}, {});
  tune(network, { name: 'prompts', count: 2, deep: false });
  scope(() => {
    const seen: Tensor[] = [];
    const block: nn.Layer = Object.assign(new nn.Identity(), {
      forward: (x: Tensor) => {
        seen.push(x.clone().keep());
        return x.clone();
      },
    });
    const tokens = randn([2, 5, 12], { generator: new Generator(3) });
    const out = network.prompts!.through([block, block], tokens, 1);
    expect(out.tolist()).toEqual(tokens.tolist());
    expect(seen.map(({ shape }) => shape)).toEqual([
      [2, 7, 12],
      [2, 7, 12],
    ]);
    const [first] = seen as [Tensor];
    expect(first.narrow(1, 0, 1).tolist()).toEqual(tokens.narrow(1, 0, 1).tolist());
    expect(first.select(0, 1).narrow(0, 1, 2).tolist()).toEqual(
      network.prompts!.tables[0]!.select(0, 0).tolist(),
    );
    expect(first.narrow(1, 3, 4).tolist()).toEqual(tokens.narrow(1, 1, 4).tolist());
    for (const each of seen) each.dispose();
  });
});

it('layer decay counts from the top down to the patches, and class token, registers and positions never decay', () => {
  using network = build({ registers: 2 });
  const { groups, factors } = backboneGroups(network, {
    weightDecay: 0.1,
    decayVectors: true,
    layerDecay: 0.5,
  });
  const of = (parameter: Tensor) => groups.find(({ params }) => params.includes(parameter))!;
  const { posEmbed, clsToken, regToken, patchEmbed, blocks, norm } = network;
  for (const token of [posEmbed, clsToken!, regToken!]) {
    expect(of(token).weightDecay).toBe(0);
    expect(factors.get(of(token).name)).toBe(0.5 ** 4);
  }
  expect(of(patchEmbed.proj.weight)).toMatchObject({ weightDecay: 0.1 });
  expect(
    [patchEmbed.proj.weight, ...blocks.map(({ attn }) => attn.qkv.weight), norm.weight!].map((p) =>
      factors.get(of(p).name),
    ),
  ).toEqual([0.5 ** 4, 0.5 ** 3, 0.5 ** 2, 0.5, 1]);
  const all = groups.flatMap(({ params }) => params);
  expect(new Set(all)).toEqual(new Set(network.parameters()));
});

it('drop path skips branches of whole images in training, drawn from its generator, and none in evaluation', () => {
  const rows = (seed: number, train: boolean) => {
    using network = build({}, { dropPath: 0.9, dropoutGenerator: new Generator(seed) });
    using features = noGrad(() => network.train(train).features(images()));
    return features.tolist();
  };
  using plain = build();
  using wanted = plain.features(images());
  expect(rows(1, false)).toEqual(wanted.tolist());
  expect(rows(1, true)).toEqual(rows(1, true));
  expect(rows(1, true)).not.toEqual(rows(2, true));
});

it('frozen below a depth, tokens and patches stay as they are', () => {
  using network = build({ registers: 1 });
  tune(network, { name: 'full', freezeBelow: 2 });
  expect(trained(network).every((name) => /^(blocks\.[12]|norm)\./.test(name))).toBe(true);
  expect(gradientsOf(network)).toEqual(trained(network));
});
