import type { Backbone } from '../models/backbones/backbone.js';
import { ConvNeXt, convnext } from '../models/backbones/convnext/convnext.js';
import type { ConvNeXtShape } from '../models/backbones/convnext/convnext-shape.js';
import {
  EfficientNet,
  efficientnet,
  MobileNetV3,
  mobilenet,
} from '../models/backbones/efficientnet/efficientnet.js';
import type { EfficientNetShape } from '../models/backbones/efficientnet/efficientnet-plan.js';
import { Eva, eva } from '../models/backbones/eva/eva.js';
import type { EvaShape } from '../models/backbones/eva/eva-shape.js';
import { ResNet, timmResnet } from '../models/backbones/resnet/resnet.js';
import type { ResNetShape } from '../models/backbones/resnet/resnet-shape.js';
import { Swin, swin } from '../models/backbones/swin/swin.js';
import type { SwinShape } from '../models/backbones/swin/swin-shape.js';
import { ViT, vit } from '../models/backbones/vit/vit.js';
import type { ViTShape } from '../models/backbones/vit/vit-shape.js';
import type { InputFormat } from '../models/input-format.js';
import type { Published } from '../models/weights/published.js';

/** What the small MobileNetV3 of the golden files keeps of the large one's blocks. */
const TINY_MOBILENET = [[1], [1, 1], [2], [1, 1, 0], [1], [2], [1]];

/** timm's arguments of a network, by timm's names. */
type Arguments = Record<string, unknown>;

/** The first weights of an architecture, which are what timm means by its name. */
function published<Shape>(part: { readonly published?: unknown }, architecture: string): Shape | null {
  const all = part.published as readonly Published<string, Shape>[];
  return all.find(({ name }) => name.startsWith(`${architecture}.`))?.shape ?? null;
}

/** What of a shape the arguments say, under our names. */
function given(names: Readonly<Record<string, string>>, kwargs: Arguments): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(names).flatMap(([theirs, ours]) => (theirs in kwargs ? [[ours, kwargs[theirs]]] : [])),
  );
}

const inputOf = (size: number): InputFormat => ({ size, mean: [0, 0, 0], std: [1, 1, 1] });

/**
 * The network that timm builds of an architecture with other arguments.
 *
 * @param native height and width that it is built for
 * @returns null for an architecture that is not known
 */
export function tinyOfTimm(timm: string, kwargs: Arguments, native: readonly number[]): Backbone | null {
  const size = native[0] as number;
  const known = published<ViTShape>(vit, timm);
  if (known !== null) {
    const names = { embed_dim: 'width', depth: 'depth', num_heads: 'heads', global_pool: 'pool' };
    const projection =
      typeof kwargs.num_classes === 'number' ? { dim: kwargs.num_classes, bias: true } : null;
    return new ViT(timm, { ...known, ...given(names, kwargs), size, projection }, inputOf(size));
  }
  const stages = published<ConvNeXtShape>(convnext, timm);
  if (stages !== null) {
    const shape = { ...stages, ...given({ depths: 'depths', dims: 'dims' }, kwargs) };
    return new ConvNeXt(timm, shape, inputOf(size));
  }
  const factors = given(
    { channel_multiplier: 'width', depth_multiplier: 'depth', num_features: 'features' },
    kwargs,
  );
  const mobile = published<EfficientNetShape>(efficientnet, timm);
  if (mobile !== null) return new EfficientNet(timm, { ...mobile, ...factors }, inputOf(size));
  const third = published<EfficientNetShape>(mobilenet, timm);
  if (third !== null)
    return new MobileNetV3(timm, { ...third, ...factors, repeats: TINY_MOBILENET }, inputOf(size));
  const residual = published<ResNetShape>(timmResnet, timm);
  if (residual !== null) {
    const shape = { ...residual, ...given({ layers: 'depths', channels: 'channels' }, kwargs) };
    return new ResNet(timm, {}, shape, inputOf(size));
  }
  const rotary = published<EvaShape>(eva, timm);
  if (rotary !== null) {
    const names = {
      ...{ embed_dim: 'width', depth: 'depth', num_heads: 'heads', global_pool: 'pool' },
      attn_pool_num_heads: 'poolHeads',
    };
    const shape = { ...rotary, ...given(names, kwargs), size };
    const hidden = Math.floor((rotary.hidden / rotary.width) * shape.width + 1e-9);
    return new Eva(timm, { ...shape, hidden }, inputOf(size));
  }
  const windows = published<SwinShape>(swin, timm);
  if (windows !== null) {
    const names = { embed_dim: 'width', depths: 'depths', num_heads: 'heads', window_size: 'window' };
    const shape = { ...windows, ...given(names, kwargs), size: [size, native[1] ?? size] as const };
    return new Swin(timm, shape, inputOf(size));
  }
  return null;
}
