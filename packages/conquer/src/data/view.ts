import type { Reduction } from '@conquer/image';
import { AffineCrop } from './affine-crop.js';
import type { BatchTransform } from './batch-transform.js';
import { CenterCrop } from './center-crop.js';
import type { Cropping } from './cropping.js';
import { Normalize, type NormalizeOptions } from './normalize.js';
import { RandomResizedCrop } from './random-resized-crop.js';

/** What is read of each image, and what is done to a batch of them. */
export interface View {
  /** The part of each image, drawn before it is decoded, and its size. */
  cropping: Cropping;
  /** What is done to the batch on the device. */
  transform: BatchTransform;
}

export interface ViewOptions {
  /** Side of the images that the network sees, in pixels. */
  size: number;
  /** Short side before the centre is cut out, in pixels; default `size`. */
  resize?: number | undefined;
  /** Statistics of what the network was trained with, such as `model.backbone.input`. */
  input: NormalizeOptions;
}

export interface EvaluationViewOptions extends ViewOptions {
  /** How the images are reduced before they are given to this view; default: not at all. */
  reduction?: Reduction | null | undefined;
}

/**
 * What evaluation and search see: the centre of the image; of one that was reduced to a square all of it, brought to
 * size as in training with icons.
 *
 * @throws RangeError for a `resize` below `size` without such a square, or a size that is not positive
 */
export function evaluationView({ size, resize = size, input, reduction }: EvaluationViewOptions): View {
  const normalize = new Normalize(input);
  return reduction?.square
    ? { cropping: new AffineCrop({ size, from: resize }), transform: normalize }
    : { cropping: new CenterCrop({ size, resize }), transform: normalize };
}

/** What training sees unless told otherwise: a random part of the image, mirrored half of the time. */
export function trainingView({ size, input }: ViewOptions): View {
  return { cropping: new RandomResizedCrop({ size }), transform: new Normalize(input) };
}
