import { z } from 'zod';
import type { EvaShape } from '../eva/eva-shape.js';
import { transformerConfig } from './vit-config.js';

const config = transformerConfig
  .extend({
    intermediate_size: z.int().min(1),
    num_register_tokens: z.int().min(0).default(0),
    use_gated_mlp: z.boolean().default(false),
    rope_theta: z.number().default(100),
    query_bias: z.boolean().default(true),
    key_bias: z.literal(false).default(false),
  })
  .refine(({ use_gated_mlp, hidden_act }) => hidden_act === (use_gated_mlp ? 'silu' : 'gelu'), {
    path: ['hidden_act'],
    message: 'expected gelu, or silu in a gated MLP (use_gated_mlp)',
  });

/**
 * The shape that transformers' config.json says, of `model_type` dinov3_vit.
 *
 * @throws z.ZodError for what is no such configuration
 */
export function dinov3ShapeOfConfig(given: unknown): EvaShape {
  const read = config.parse(given);
  return {
    ...{ patch: read.patch_size, size: read.image_size, width: read.hidden_size },
    ...{ depth: read.num_hidden_layers, heads: read.num_attention_heads },
    ...{ registers: read.num_register_tokens, positions: false, layerScale: true, pool: 'token' },
    rope: { kind: 'halves', temperature: read.rope_theta },
    qkv: read.query_bias ? 'separate-bias' : 'packed',
    mlp: read.use_gated_mlp ? 'swiglu' : 'gelu',
    ...{ hidden: read.intermediate_size, eps: read.layer_norm_eps ?? 1e-5 },
  };
}
