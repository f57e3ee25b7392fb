import { z } from 'zod';
import type { Activation } from '../../layers/activation.js';
import type { TransformersForm } from '../../weights/transformers-form.js';
import type { ViTShape } from './vit-shape.js';

/** transformers' names of nonlinearities. */
export const hiddenActivations = {
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  quick_gelu: 'quick-gelu',
  relu: 'relu',
  silu: 'silu',
} as const satisfies Record<string, Activation>;

/** The fields that transformers' configurations of vision transformers have in common. */
export const transformerConfig = z.object({
  model_type: z.string(),
  hidden_size: z.int().min(1),
  num_hidden_layers: z.int().min(1),
  num_attention_heads: z.int().min(1),
  patch_size: z.int().min(1),
  image_size: z.int().min(1),
  hidden_act: z.enum(Object.keys(hiddenActivations) as [keyof typeof hiddenActivations]).default('gelu'),
  layer_norm_eps: z.number().optional(),
});

const config = transformerConfig.extend({
  intermediate_size: z.int().optional(),
  mlp_ratio: z.number().optional(),
  qkv_bias: z.boolean().default(true),
  num_register_tokens: z.int().min(0).default(4),
  projection_dim: z.int().optional(),
  architectures: z.array(z.string()).default([]),
  use_swiglu_ffn: z.literal(false).default(false),
});

/** What transformers' `model_type` adds to a plain vision transformer. Positions are resampled as its class does it. */
const kinds: Readonly<Record<string, (given: z.output<typeof config>) => Partial<ViTShape>>> = {
  vit: () => ({ antialias: false, eps: 1e-12 }),
  dinov2: () => ({ antialias: false, layerScale: true }),
  dinov2_with_registers: ({ num_register_tokens: registers }) => ({
    ...{ antialias: true, layerScale: true, prefixPositions: false },
    registers,
  }),
  clip_vision_model: ({ architectures, projection_dim: dim }) => ({
    ...{ antialias: false, preNorm: true, eps: 1e-5 },
    projection:
      architectures.includes('CLIPVisionModelWithProjection') && dim !== undefined
        ? { dim, bias: false }
        : null,
  }),
  siglip_vision_model: () => ({ antialias: false, classToken: false, pool: 'map' }),
};

/** What a file of the two may leave out, as it does not say what its class has by itself. */
const defaults: Readonly<Record<string, object>> = {
  clip_vision_model: {
    ...{ hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 },
    ...{ image_size: 224, patch_size: 32, hidden_act: 'quick_gelu' },
  },
  siglip_vision_model: {
    ...{ hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 },
    ...{ image_size: 224, patch_size: 16, hidden_act: 'gelu_pytorch_tanh' },
  },
};

/** The `model_type`s that are vision transformers with learned positions. */
export const vitModelTypes: readonly string[] = Object.keys(kinds);

/**
 * The shape that transformers' config.json says, of one of `vitModelTypes`.
 *
 * @throws z.ZodError for what is no such configuration
 */
export function vitShapeOfConfig(given: unknown): ViTShape {
  const type = (given as { model_type?: unknown } | null)?.model_type;
  const read = config.parse({ ...(typeof type === 'string' && defaults[type]), ...(given as object) });
  const width = read.hidden_size;
  const kind = kinds[read.model_type]?.(read) ?? {};
  return {
    ...{ width, depth: read.num_hidden_layers, heads: read.num_attention_heads },
    ...{ patch: read.patch_size, size: read.image_size, qkvBias: read.qkv_bias },
    activation: hiddenActivations[read.hidden_act],
    mlp: read.intermediate_size ?? Math.round(width * (read.mlp_ratio ?? 4)),
    ...kind,
    ...(read.layer_norm_eps !== undefined && { eps: read.layer_norm_eps }),
  };
}

/** The other way round, of plain vision transformers; null: transformers has no class of this shape, or its files are not written. */
export function vitTransformersForm(shape: ViTShape): TransformersForm | null {
  const { width, depth, heads, patch, size, mlp = 4 * width, qkvBias = true, eps = 1e-6 } = shape;
  const { classToken = true, registers = 0, prefixPositions = true, preNorm = false, pool = 'token' } = shape;
  const { projection = null, layerScale = false, activation = 'gelu' } = shape;
  if (!classToken || registers > 0 || !prefixPositions || preNorm || pool !== 'token' || projection !== null)
    return null;
  const act = Object.entries(hiddenActivations).find(([, own]) => own === activation);
  if (act === undefined) return null;
  const shared = {
    ...{ hidden_size: width, num_hidden_layers: depth, num_attention_heads: heads },
    ...{ patch_size: patch, image_size: size, hidden_act: act[0], qkv_bias: qkvBias, layer_norm_eps: eps },
  };
  if (!layerScale) {
    const config = { ...shared, intermediate_size: mlp };
    return {
      naming: "transformers' ViT",
      config: { architectures: ['ViTModel'], model_type: 'vit', ...config },
    };
  }
  return {
    naming: "transformers' DINOv2",
    config: { architectures: ['Dinov2Model'], model_type: 'dinov2', ...shared, mlp_ratio: mlp / width },
    unused: { 'embeddings.mask_token': [1, width] },
  };
}
