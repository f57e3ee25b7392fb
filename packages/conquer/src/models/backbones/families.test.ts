import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import {
  Generator,
  liveTensors,
  noGrad,
  randn,
  scope,
  type Tensor,
  writeSafetensors,
} from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createBackbone, type ModelName } from '../create-model.js';
import { loadWeights } from '../weights/weights.js';
import type { Backbone, BackbonePart } from './backbone.js';
import { backbones } from './backbones.js';
import { ConvNeXt } from './convnext/convnext.js';
import { EfficientNet, MobileNetV3 } from './efficientnet/efficientnet.js';
import { Eva } from './eva/eva.js';
import type { EvaShape } from './eva/eva-shape.js';
import { ResNet } from './resnet/resnet.js';
import { Swin } from './swin/swin.js';
import { ViT } from './vit/vit.js';

const input = { size: 64, mean: [0, 0, 0], std: [1, 1, 1] } as const;
const format = () => ({ ...input, mean: [...input.mean], std: [...input.std] }) as never;

const dinov3: EvaShape = {
  ...{ patch: 16, size: 64, width: 16, depth: 2, heads: 2, hidden: 32 },
  ...{ registers: 2, positions: false, layerScale: true, eps: 1e-5 },
  ...{ rope: { kind: 'halves', temperature: 100 }, qkv: 'packed', mlp: 'swiglu', pool: 'avg' },
};

/** A small member of each family, drawn from a seed. */
const small: Record<string, (generator: Generator, skipInit?: boolean) => Backbone> = {
  vit: (generator, skipInit) =>
    new ViT('vit', { patch: 8, size: 32, width: 12, depth: 2, heads: 3 }, format(), { generator, skipInit }),
  convnext: (generator, skipInit) =>
    new ConvNeXt('convnext', { depths: [1, 1], dims: [4, 8] }, format(), { generator, skipInit }),
  convnextv2: (generator, skipInit) =>
    new ConvNeXt('convnextv2', { depths: [1, 1], dims: [4, 8], grn: true, convMlp: true }, format(), {
      generator,
      skipInit,
    }),
  efficientnet: (generator, skipInit) =>
    new EfficientNet('efficientnet', { kind: 'efficientnet', width: 0.1, depth: 0.3 }, format(), {
      generator,
      skipInit,
    }),
  'efficientnet-lite': (generator, skipInit) =>
    new EfficientNet(
      'lite',
      { kind: 'efficientnet-lite', width: 0.1, depth: 0.3, tensorflow: true },
      format(),
      {
        generator,
        skipInit,
      },
    ),
  mobilenetv2: (generator, skipInit) =>
    new EfficientNet('mobilenetv2', { kind: 'mobilenetv2', width: 0.1, depth: 0.3 }, format(), {
      generator,
      skipInit,
    }),
  mobilenetv3: (generator, skipInit) =>
    new MobileNetV3('mobilenetv3', { kind: 'mobilenetv3-small', width: 0.25 }, format(), {
      generator,
      skipInit,
    }),
  dinov3: (generator, skipInit) => new Eva('dinov3', dinov3, format(), { generator, skipInit }),
  perception: (generator, skipInit) =>
    new Eva(
      'perception',
      {
        ...{ ...dinov3, positions: true, registers: 0, pool: 'map', poolHeads: 2, qkv: 'packed-bias' },
        ...{ rope: { kind: 'pairs', grid: 4, offset: 1, columnsFirst: true } },
      },
      format(),
      { generator, skipInit },
    ),
  eva02: (generator, skipInit) =>
    new Eva(
      'eva02',
      {
        ...{ ...dinov3, positions: true, registers: 0, normAfterPool: true, qkv: 'split', innerNorm: true },
        ...{ mlp: 'swiglu-norm', layerScale: false },
        rope: { kind: 'pairs', grid: 4, offset: 0, columnsFirst: false },
      },
      format(),
      { generator, skipInit },
    ),
  swin: (generator, skipInit) =>
    new Swin('swin', { size: [64, 64], width: 8, depths: [1, 2], heads: [1, 2], window: 3 }, format(), {
      generator,
      skipInit,
    }),
  resnet: (generator, skipInit) =>
    new ResNet(
      'resnet',
      { generator, skipInit },
      { block: 'basic', depths: [1, 1, 1, 1], channels: [4, 4, 8, 8] },
      format(),
    ),
};

const families = Object.entries(small);
const sums = (network: Backbone) => network.parameters().map((parameter) => parameter.sum().item());

it.each(families)('%s frees what a forward pass makes, in training and outside', (_, build) => {
  using network = build(new Generator(1));
  using images = randn([2, 3, 64, 64], { generator: new Generator(2) });
  const before = liveTensors();
  for (const training of [true, false]) {
    network.train(training);
    for (const run of [() => network.features(images), () => noGrad(() => network.features(images))]) {
      using features = run();
      expect(features.shape.slice(0, 2)).toEqual([2, network.featureSize]);
      expect(liveTensors()).toBe(before + 1);
    }
  }
});

it.each(families)('%s: each parameter takes a gradient and lies at one depth', (_, build) => {
  using network = build(new Generator(1));
  scope(() => {
    network
      .features(randn([2, 3, 64, 64], { generator: new Generator(2) }))
      .square()
      .sum()
      .backward();
    for (const [name, parameter] of network.namedParameters()) {
      expect(parameter.grad?.isfinite().all().item(), name).toBe(1);
      expect(parameter.grad?.abs().sum().item(), name).toBeGreaterThan(0);
    }
  });
  const groups = network.parametersByDepth().flat();
  expect(new Set(groups)).toEqual(new Set<Tensor>(network.parameters()));
  expect(groups).toHaveLength(network.parameters().length);
});

it.each(families)(
  '%s: a file with a tensor too many, too few or of another shape leaves it as it was',
  (_, build) => {
    using source = build(new Generator(1));
    using target = build(new Generator(2));
    const file = join(temporaryFolder(), 'weights.safetensors');
    const before = sums(target);
    const state = source.stateDict();
    const [first = ''] = [...state.keys()].filter((name) => name.endsWith('weight'));
    const wrong: [change: (weights: Map<string, Tensor>) => void, message: RegExp][] = [
      [(weights) => weights.delete(first), /missing 1 /],
      [(weights) => weights.set('blocks.9.extra', state.get(first) as Tensor), /unexpected 1 /],
      [
        (weights) => weights.set(first, (state.get(first) as Tensor).flatten().contiguous()),
        /wrong shape 1 /,
      ],
    ];
    for (const [change, message] of wrong) {
      scope(() => {
        const weights = new Map(state);
        change(weights);
        writeSafetensors(file, weights);
        expect(() => loadWeights(target, file)).toThrow(message);
      });
      expect(sums(target)).toEqual(before);
    }
    writeSafetensors(file, state);
    loadWeights(target, file);
    expect(sums(target)).toEqual(sums(source));
  },
);

it.each(families)('%s: built without drawing, its weights are those of the file', (_, build) => {
  using source = build(new Generator(1));
  using target = build(new Generator(2), true);
  const file = join(temporaryFolder(), 'weights.safetensors');
  writeSafetensors(file, source.stateDict());
  loadWeights(target, file);
  expect(sums(target)).toEqual(sums(source));
});

it('builds every published network, by names and shapes alone', () => {
  const seen = new Set<string>();
  for (const { published = [] } of backbones as readonly BackbonePart[]) {
    for (const { name, shape, input } of published) {
      const key = JSON.stringify(shape);
      if (seen.has(key)) continue;
      seen.add(key);
      using network = createBackbone(name as ModelName, { device: 'meta' });
      expect(network.name).toBe(name);
      expect(network.takesSide(input.size), name).toBe(true);
      expect(
        network.parameters().every(({ device }) => device === 'meta'),
        name,
      ).toBe(true);
    }
  }
  expect(seen.size).toBeGreaterThan(50);
}, 120_000);
