import { z } from 'zod';
import type { TransformersForm } from '../../weights/transformers-form.js';

/** Blocks in the four stages (He et al., arXiv 1512.03385, table 1). */
export const resnets = {
  resnet18: { block: 'basic', depths: [2, 2, 2, 2] },
  resnet34: { block: 'basic', depths: [3, 4, 6, 3] },
  resnet50: { block: 'bottleneck', depths: [3, 4, 6, 3] },
  resnet101: { block: 'bottleneck', depths: [3, 4, 23, 3] },
  resnet152: { block: 'bottleneck', depths: [3, 8, 36, 3] },
} as const satisfies Record<string, ResNetShape>;

export type ResNetName = keyof typeof resnets;

/** What a ResNet is made of. */
export interface ResNetShape {
  block: 'basic' | 'bottleneck';
  /** Blocks of the four stages. */
  depths: readonly number[];
  /** Channels within the stages' blocks; default 64, 128, 256, 512. */
  channels?: readonly number[];
}

const config = z.object({
  layer_type: z.enum(['basic', 'bottleneck']).default('bottleneck'),
  depths: z.array(z.int().min(1)).length(4),
  hidden_sizes: z.array(z.int().min(1)).length(4),
  embedding_size: z.literal(64).default(64),
  hidden_act: z.literal('relu').default('relu'),
  downsample_in_first_stage: z.literal(false).default(false),
  downsample_in_bottleneck: z.literal(false).default(false),
});

/**
 * The shape that transformers' config.json says, of `model_type` resnet.
 *
 * @throws z.ZodError for what is no such configuration
 */
export function resnetShapeOfConfig(given: unknown): ResNetShape {
  const { layer_type: block, depths, hidden_sizes } = config.parse(given);
  return { block, depths, channels: hidden_sizes.map((size) => (block === 'basic' ? size : size / 4)) };
}

/** The other way round. */
export function resnetTransformersForm({ block, depths, channels }: Required<ResNetShape>): TransformersForm {
  const sizes = channels.map((within) => (block === 'basic' ? within : within * 4));
  const config = { layer_type: block, depths, hidden_sizes: sizes, embedding_size: 64 };
  return {
    naming: "transformers' ResNet",
    config: { architectures: ['ResNetModel'], model_type: 'resnet', ...config },
  };
}
