import type { ImageSize } from '@conquer-dml/image';
import type { Random } from '../random.js';
import { type AffineRanges, checkAffine, drawAffine } from './affine-matrix.js';
import { CenterCrop } from './center-crop.js';
import type { CropDecision, Cropping, Warp } from './cropping.js';

export interface AffineCropOptions extends AffineRanges {
  /** Side of the output in pixels. */
  size: number;
  /** Side that the central square is resized to before it is sampled; default `size`. */
  from?: number | undefined;
  /** What lies outside of it: its nearest border pixel (default), or a grey in [0, 1]. */
  fill?: 'border' | number | undefined;
}

/**
 * Affine while images are read: the central square, resized to `from`, then rotated, zoomed, stretched, sheared,
 * shifted, mirrored and brought to `size` in one bilinear sampling, on the threads that decode. Without ranges it only
 * resizes, which is what evaluation uses, so that images go through the same sampling as in training.
 *
 * Draws seven numbers an image, whatever the options.
 */
export class AffineCrop implements Cropping {
  readonly size: number;
  readonly warp: Warp;
  private readonly center: CenterCrop;

  /** @throws RangeError for a range of scales that is not positive, or upside down */
  constructor(private readonly options: AffineCropOptions) {
    checkAffine('AffineCrop', options);
    const { size, from = size, fill = 'border' } = options;
    this.size = size;
    this.warp = { from, fill };
    this.center = new CenterCrop({ size: from });
  }

  draw(image: ImageSize, random: Random): CropDecision {
    return { ...this.center.draw(image), matrix: drawAffine(this.options, random) };
  }
}
