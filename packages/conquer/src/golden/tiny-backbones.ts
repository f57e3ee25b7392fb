import type { Backbone } from '../models/backbone.js';
import { EfficientNet, efficientNet } from '../models/efficientnet.js';
import type { EfficientNetShape } from '../models/efficientnet-shape.js';
import type { Published } from '../models/published.js';
import { ViT, vit } from '../models/vit.js';
import type { ViTShape } from '../models/vit-shape.js';

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

const input = { size: 0, mean: [0, 0, 0], std: [1, 1, 1] } as const;
const inputOf = (size: number) => ({ size, mean: [...input.mean], std: [...input.std] }) as const;

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
    return new ViT(timm, { ...known, ...given(names, kwargs), size, projection }, inputOf(size) as never);
  }
  const efficient = published<EfficientNetShape>(efficientNet, timm);
  if (efficient !== null) {
    const names = { channel_multiplier: 'width', depth_multiplier: 'depth' };
    return new EfficientNet(timm, { ...efficient, ...given(names, kwargs) }, inputOf(size) as never);
  }
  return null;
}
