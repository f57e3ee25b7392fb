import { z } from 'zod';
import type { TransformersForm } from '../../weights/transformers-form.js';

/** What a ConvNeXt is made of (Liu et al., arXiv 2201.03545). */
export interface ConvNeXtShape {
  /** Blocks of the stages. */
  depths: readonly number[];
  /** Channels of the stages; the second and later ones halve the resolution. */
  dims: readonly number[];
  /** Global response normalisation in place of LayerScale, as in V2; default false. */
  grn?: boolean;
  /** Whether the MLPs' weights have the form of 1x1 convolutions'; default false. */
  convMlp?: boolean;
  /** Added to variances; default 1e-6. */
  eps?: number;
  /** The same, of the last norm; default `eps`. */
  headEps?: number;
}

const config = z.object({
  model_type: z.string(),
  depths: z.array(z.int().min(1)).min(1),
  hidden_sizes: z.array(z.int().min(1)).min(1),
  layer_norm_eps: z.number().optional(),
  hidden_act: z.literal('gelu').default('gelu'),
});

/** The `model_type`s of transformers that are ConvNeXt. */
export const convnextModelTypes = ['convnext', 'convnextv2', 'dinov3_convnext'] as const;

/**
 * The shape that transformers' config.json says, of one of `convnextModelTypes`.
 *
 * @throws z.ZodError for what is no such configuration
 */
export function convnextShapeOfConfig(given: unknown): ConvNeXtShape {
  const { model_type: type, depths, hidden_sizes: dims, layer_norm_eps } = config.parse(given);
  // The first two say the eps of the last norm alone, and mean 1e-12 where they say none.
  const eps =
    type === 'dinov3_convnext' ? { eps: layer_norm_eps ?? 1e-6 } : { headEps: layer_norm_eps ?? 1e-12 };
  return { depths, dims, grn: type === 'convnextv2', ...eps };
}

/** The other way round; null: transformers has no such network. */
export function convnextTransformersForm(shape: ConvNeXtShape): TransformersForm | null {
  const { depths, dims, grn = false, eps = 1e-6, headEps = eps } = shape;
  // All others are so by themselves there.
  if (eps !== 1e-6) return null;
  const [architecture, model_type] = grn ? ['ConvNextV2Model', 'convnextv2'] : ['ConvNextModel', 'convnext'];
  const config = { depths, hidden_sizes: dims, layer_norm_eps: headEps, num_stages: dims.length };
  return {
    naming: "transformers' ConvNeXt",
    config: { architectures: [architecture!], model_type: model_type!, ...config },
  };
}
