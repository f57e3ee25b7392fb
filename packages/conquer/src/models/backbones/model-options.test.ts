import { Generator, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { buildNamed } from '../../named-part.js';
import { smallBackbones } from '../../testing/small-backbones.js';
import { createBackbone, type ModelName } from '../create-model.js';
import { EmbeddingModel } from '../embedding-model.js';
import { type NamedTuning, tunings } from '../tunings/tunings.js';
import type { Backbone, BackbonePart } from './backbone.js';
import { backbones } from './backbones.js';

// Each of a model's options does something with each family, or is refused in words.

const families = Object.entries(smallBackbones);
const images = () => randn([2, 3, 64, 64], { generator: new Generator(2) });
const tune = (backbone: Backbone, named: NamedTuning) =>
  buildNamed(tunings, named, { backbone, generator: new Generator(5) }, 'model.tuning');
const adapters = (network: Backbone) =>
  [...network.namedParameters()].filter(([name]) => name.endsWith('lora_b'));

it.each(families)('pooling by %s: another vector, or a line that says whose it is', (_, build) => {
  const pooled = (pooling: 'avg' | 'max' | 'gem') =>
    scope(() => {
      const model = new EmbeddingModel(build(new Generator(1)), { pooling, generator: new Generator(3) });
      const rows = noGrad(() => model.eval().features(images())).tolist();
      model.dispose();
      return JSON.stringify(rows);
    });
  using network = build(new Generator(1));
  const isVector = scope(() => network.features(images()).ndim === 2);
  if (isVector)
    for (const pooling of ['max', 'gem'] as const)
      expect(() => pooled(pooling)).toThrow(
        /^model\.pooling: expected avg, as \S+ gives one vector an image/,
      );
  else expect(new Set([pooled('avg'), pooled('max'), pooled('gem')]).size).toBe(3);
});

it.each(
  (backbones as readonly BackbonePart[]).flatMap(({ published, poolsItself = false }) =>
    published ? [[published[0]!.name, poolsItself] as const] : [],
  ),
)('%s says whether it pools its features itself: %s', (name, itself) => {
  using backbone = createBackbone(name as ModelName, { device: 'meta' });
  const build = () => new EmbeddingModel(backbone, { pooling: 'max', embeddingDim: 8 });
  if (itself)
    expect(build).toThrow(
      /^pooling: expected avg, as \S+ makes .* got max, which is for resnet18, .*, resnet50\.a1_in1k and their kin$/,
    );
  else expect(build).not.toThrow();
});

it.each(families)('lora learns beside each layer that it names in %s, or is refused', (_, build) => {
  for (const layers of ['attention', 'mlp', 'both'] as const) {
    using network = build(new Generator(1));
    const { attention, mlp } = network.linearLayers();
    const count = { attention: attention.length, mlp: mlp.length, both: attention.length + mlp.length }[
      layers
    ];
    if (count === 0) {
      expect(() => tune(network, { name: 'lora', layers })).toThrow(/^model\.tuning\.\w+: lora is for /);
      continue;
    }
    tune(network, { name: 'lora', rank: 2, layers });
    scope(() => network.features(images()).square().sum().backward());
    const found = adapters(network);
    expect(found).toHaveLength(count);
    for (const [name, { grad }] of found) expect(grad?.abs().max().item(), name).toBeGreaterThan(0);
  }
});

it.each(families)('prompts learn in %s, or are refused', (_, build) => {
  for (const deep of [true, false]) {
    using network = build(new Generator(1));
    const named = { name: 'prompts', count: 3, deep } as const;
    if (network.tokenShape === null) {
      expect(() => tune(network, named)).toThrow(
        /^model\.tuning\.name: prompts are tokens .* takes none: take full/,
      );
      continue;
    }
    using before = network.features(images());
    tune(network, named);
    using after = network.features(images());
    expect(after.sub(before).abs().max().item()).toBeGreaterThan(0);
    scope(() => after.square().sum().backward());
    const trained = [...network.namedParameters()].filter(([, { requiresGrad }]) => requiresGrad);
    expect(trained.map(([name]) => name)).toEqual(
      Array.from({ length: deep ? network.tokenShape.depth : 1 }, (_, i) => `prompts.tables.${i}`),
    );
    for (const [name, { grad }] of trained) expect(grad?.abs().max().item(), name).toBeGreaterThan(0);
    expect(new Set(network.parametersByDepth().flat())).toEqual(new Set<Tensor>(network.parameters()));
  }
});
