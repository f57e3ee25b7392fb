import { type Preprocessing, UserError } from '@conquer-dml/run';
import { AffineCrop } from './affine-crop.js';
import type { BatchTransform } from './batch-transform.js';
import { CenterCrop } from './center-crop.js';
import type { Cropping } from './cropping.js';
import { Normalize } from './normalize.js';
import { RandomResizedCrop } from './random-resized-crop.js';

/** What is read of each image, and what is done to a batch of them. */
export interface View {
  /** The part of each image, drawn before it is decoded, and its size. */
  cropping: Cropping;
  /** What is done to the batch on the device. */
  transform: BatchTransform;
}

/**
 * What evaluation and search see: the centre of the image; of one that was reduced to a square all of it, brought to
 * size as in training with icons.
 *
 * @param seen what the model is given, its `view`; images come to this reduced already, see `imagesAsSeen`
 * @throws RangeError for a `resize` below `size` without such a square, or a size that is not positive; UserError for a
 *   way to bring images to size that there is not
 */
export function evaluationView({ size, resize, input, reduction }: Preprocessing): View {
  if (input.interpolation !== 'bilinear')
    throw new UserError(
      `expected a network for images that were brought to size bilinearly, got one for ${input.interpolation}: it would be given others than it was trained on`,
    );
  const transform = new Normalize(input);
  return reduction?.square
    ? { cropping: new AffineCrop({ size, from: resize }), transform }
    : { cropping: new CenterCrop({ size, resize }), transform };
}

/**
 * What training sees unless told otherwise: a random part of the image, mirrored half of the time.
 *
 * @param minArea least share of the image
 */
export function trainingView({ size, input }: Pick<Preprocessing, 'size' | 'input'>, minArea = 0.08): View {
  return { cropping: new RandomResizedCrop({ size, area: [minArea, 1] }), transform: new Normalize(input) };
}
