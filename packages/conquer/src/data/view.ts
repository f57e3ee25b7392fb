import { type Preprocessing, resizesWhole, UserError } from '@conquer-dml/run';
import { AffineCrop } from './affine-crop.js';
import type { BatchTransform } from './batch-transform.js';
import { CenterCrop } from './center-crop.js';
import type { Cropping } from './cropping.js';
import { Normalize } from './normalize.js';
import { RandomResizedCrop } from './random-resized-crop.js';
import { ResizedCenterCrop } from './resized-center-crop.js';

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
 * @throws RangeError for a `resize` below `size` without such a square, or a size that is not positive; UserError for
 *   such a square and a network that was trained on images of another filter
 */
export function evaluationView(seen: Preprocessing): View {
  const { size, resize, input, reduction, squash, centre } = seen;
  const transform = new Normalize(input);
  const { interpolation: filter } = input;
  if (reduction?.square) {
    if (filter !== 'bilinear')
      throw new UserError(
        `expected a network for images that were brought to size bilinearly, as icons are, got one for ${filter}: it would be given others than it was trained on`,
      );
    return { cropping: new AffineCrop({ size, from: resize }), transform };
  }
  return resizesWhole(seen)
    ? { cropping: new ResizedCenterCrop({ size, resize, filter, squash, centre }), transform }
    : { cropping: new CenterCrop({ size, resize }), transform };
}

/**
 * What training sees unless told otherwise: a random part of the image, mirrored half of the time.
 *
 * @param minArea least share of the image
 */
export function trainingView({ size, input }: Pick<Preprocessing, 'size' | 'input'>, minArea = 0.08): View {
  return {
    cropping: new RandomResizedCrop({ size, area: [minArea, 1], filter: input.interpolation }),
    transform: new Normalize(input),
  };
}
