import { z } from 'zod';
import type { TransformersForm } from '../../weights/transformers-form.js';
import { type EfficientNetShape, planOf, roundChannels } from './efficientnet-plan.js';

const exactly = (values: readonly number[]) =>
  z
    .array(z.number())
    .refine((given) => String(given) === String(values), { error: `expected ${values.join(', ')}` })
    .optional();

/** What scales is read; the rest has to be as it was published (Tan and Le, arXiv 1905.11946). */
const efficientnet = z.object({
  width_coefficient: z.number().gt(0),
  depth_coefficient: z.number().gt(0),
  hidden_dim: z.int().min(1),
  depthwise_padding: z.array(z.int().min(0)).default([]),
  depth_divisor: z.literal(8).optional(),
  kernel_sizes: exactly([3, 3, 5, 3, 5, 5, 3]),
  in_channels: exactly([32, 16, 24, 40, 80, 112, 192]),
  out_channels: exactly([16, 24, 40, 80, 112, 192, 320]),
  strides: exactly([1, 2, 2, 2, 1, 2, 1]),
  num_block_repeats: exactly([1, 2, 2, 3, 3, 4, 1]),
  expand_ratios: exactly([1, 6, 6, 6, 6, 6, 6]),
  squeeze_expansion_ratio: z.literal(0.25).optional(),
  hidden_act: z.enum(['swish', 'silu']).optional(),
  batch_norm_eps: z.literal(0.001).optional(),
  pooling_type: z.literal('mean').optional(),
});

/** Likewise (Sandler et al., arXiv 1801.04381). */
const mobilenet = z.object({
  // Below, the stem's block would get a shortcut here, as it leaves the channels as they are.
  depth_multiplier: z.number().min(0.35).default(1),
  finegrained_output: z.boolean().default(true),
  depth_divisible_by: z.literal(8).optional(),
  min_depth: z.literal(8).optional(),
  expand_ratio: z.literal(6).optional(),
  output_stride: z.literal(32).optional(),
  first_layer_is_expansion: z.literal(true).optional(),
  tf_padding: z.literal(true).optional(),
  hidden_act: z.literal('relu6').optional(),
  layer_norm_eps: z.literal(0.001).optional(),
});

/**
 * The shape that transformers' config.json says, of `model_type` efficientnet.
 *
 * @throws z.ZodError for what is no such configuration, or is none that was published
 */
export function efficientnetShapeOfConfig(given: unknown): EfficientNetShape {
  const config = efficientnet.parse(given);
  return {
    kind: 'efficientnet',
    width: config.width_coefficient,
    depth: config.depth_coefficient,
    features: config.hidden_dim,
    tensorflow: true,
    paddedAsOdd: config.depthwise_padding,
  };
}

/**
 * The same, of `model_type` mobilenet_v2.
 *
 * @throws z.ZodError likewise
 */
export function mobilenetShapeOfConfig(given: unknown): EfficientNetShape {
  const { depth_multiplier: width, finegrained_output } = mobilenet.parse(given);
  const features = width < 1 && finegrained_output ? 1280 : roundChannels(Math.round(1280 * width));
  return { kind: 'mobilenetv2', width, features, tensorflow: true, wholeChannels: true };
}

/** The other way round, of shapes that came from such a configuration: others pad otherwise. */
export function efficientnetTransformersForm(shape: EfficientNetShape): TransformersForm | null {
  const { kind, width = 1, depth = 1, tensorflow = false, paddedAsOdd, wholeChannels = false } = shape;
  const { features } = planOf(shape);
  if (kind === 'efficientnet' && tensorflow && paddedAsOdd !== undefined)
    return {
      naming: "transformers' EfficientNet",
      config: {
        ...{ architectures: ['EfficientNetModel'], model_type: 'efficientnet', hidden_dim: features },
        ...{ width_coefficient: width, depth_coefficient: depth, depthwise_padding: paddedAsOdd },
      },
    };
  if (kind !== 'mobilenetv2' || !tensorflow || !wholeChannels) return null;
  const finegrained_output = width >= 1 || features === 1280;
  return {
    naming: "transformers' MobileNetV2",
    config: {
      ...{ architectures: ['MobileNetV2Model'], model_type: 'mobilenet_v2' },
      ...{ depth_multiplier: width, finegrained_output },
    },
  };
}
