import { z } from 'zod';

/** What a Swin transformer is made of (Liu et al., arXiv 2103.14030). */
export interface SwinShape {
  /** Height and width of the images that it was trained for; windows are no larger than the maps of these. */
  size: readonly [number, number];
  /** Channels of the first stage's tokens; each later stage doubles them. */
  width: number;
  depths: readonly number[];
  heads: readonly number[];
  /** Side of a window, in patches. */
  window: number;
  /** Added to variances; default 1e-5. */
  eps?: number;
}

const config = z.object({
  image_size: z.int().min(1),
  embed_dim: z.int().min(1),
  depths: z.array(z.int().min(1)).min(1),
  num_heads: z.array(z.int().min(1)).min(1),
  window_size: z.int().min(1),
  patch_size: z.literal(4).default(4),
  mlp_ratio: z.literal(4).default(4),
  qkv_bias: z.literal(true).default(true),
  use_absolute_embeddings: z.literal(false).default(false),
  hidden_act: z.literal('gelu').default('gelu'),
  layer_norm_eps: z.number().default(1e-5),
});

/**
 * The shape that transformers' config.json says, of `model_type` swin.
 *
 * @throws z.ZodError for what is no such configuration
 */
export function swinShapeOfConfig(given: unknown): SwinShape {
  const {
    image_size: side,
    embed_dim: width,
    depths,
    num_heads: heads,
    window_size: window,
    layer_norm_eps: eps,
  } = config.parse(given);
  return { size: [side, side], width, depths, heads, window, eps };
}
