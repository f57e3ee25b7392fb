import type { Generator } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { ConvNeXt } from '../models/backbones/convnext/convnext.js';
import { EfficientNet, MobileNetV3 } from '../models/backbones/efficientnet/efficientnet.js';
import { Eva } from '../models/backbones/eva/eva.js';
import type { EvaShape } from '../models/backbones/eva/eva-shape.js';
import { ResNet } from '../models/backbones/resnet/resnet.js';
import { Swin } from '../models/backbones/swin/swin.js';
import { ViT } from '../models/backbones/vit/vit.js';

const input = { size: 64, mean: [0, 0, 0], std: [1, 1, 1] } as const;
const format = () => ({ ...input, mean: [...input.mean], std: [...input.std] }) as never;

const dinov3: EvaShape = {
  ...{ patch: 16, size: 64, width: 16, depth: 2, heads: 2, hidden: 32 },
  ...{ registers: 2, positions: false, layerScale: true, eps: 1e-5 },
  ...{ rope: { kind: 'halves', temperature: 100 }, qkv: 'packed', mlp: 'swiglu', pool: 'avg' },
};

/** A small member of each family, drawn from a seed. */
export const smallBackbones: Record<string, (generator: Generator, skipInit?: boolean) => Backbone> = {
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
  'eva02 of packed queries': (generator, skipInit) =>
    new Eva(
      'eva02',
      {
        ...{ ...dinov3, positions: true, registers: 0, pool: 'token', qkv: 'separate-bias' },
        ...{ mlp: 'swiglu-packed', layerScale: false },
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
