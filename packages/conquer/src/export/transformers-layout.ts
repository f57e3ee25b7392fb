import type { Preprocessing } from '@conquer-dml/run';
import { resizesWhole } from '@conquer-dml/run';

/** Pillow's numbers of the filters. */
const RESAMPLE = { bilinear: 2, bicubic: 3 } as const;

/**
 * config.json: what transformers.js asks of a model. It opens what has this `model_type` as a class whose one graph is
 * `onnx/model.onnx`, and its pipeline of image features gives `logits` where there is no `last_hidden_state`. Its own types of
 * embeddings are halves of networks of images and texts.
 */
export function transformersConfig(dim: number): object {
  return { architectures: ['ResNetModel'], model_type: 'resnet', hidden_size: dim };
}

/**
 * preprocessor_config.json: the model's view in transformers' words. transformers.js resizes with sharp or a canvas, without a
 * filter that grows with the factor as Pillow's; and what cuts the centre out first has it cut out of the resized image there.
 */
export function preprocessorConfig(view: Preprocessing): object {
  const { size, resize, squash = false, reduction, input } = view;
  const square = squash || reduction?.square === true;
  const whole = reduction?.square ? size : resize;
  return {
    image_processor_type: 'ViTFeatureExtractor',
    do_convert_rgb: true,
    do_resize: true,
    size: square ? { height: whole, width: whole } : { shortest_edge: whole },
    resample: RESAMPLE[input.interpolation],
    do_center_crop: whole !== size || !resizesWhole(view),
    crop_size: { height: size, width: size },
    do_rescale: true,
    rescale_factor: input.scale / 255,
    do_normalize: true,
    image_mean: input.mean,
    image_std: input.std,
    ...(input.channels === 'BGR' && { do_flip_channel_order: true }),
  };
}
