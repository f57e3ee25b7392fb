import type { ImageSize } from '@conquer-dml/image';
import type { CropDecision, Cropping } from './cropping.js';

export interface CenterCropOptions {
  /** Side of the output in pixels. */
  size: number;
  /** Length that the image's short side is resized to before the centre is cut out; default `size`. */
  resize?: number | undefined;
}

/**
 * The short side resized to `resize`, then the central `size`×`size`: what evaluation sees, 224 of 256 in the
 * literature. Done as one crop of the source, in whole pixels, and one resize. Draws nothing.
 */
export class CenterCrop implements Cropping {
  readonly size: number;
  private readonly share: number;

  /** @throws RangeError unless 0 < size ≤ resize */
  constructor({ size, resize = size }: CenterCropOptions) {
    if (!(resize >= size && size > 0)) {
      throw new RangeError(`CenterCrop: expected resize to be at least size, got ${resize} and ${size}`);
    }
    this.size = size;
    this.share = size / resize;
  }

  draw({ width, height }: ImageSize): CropDecision {
    const side = Math.max(1, Math.round(Math.min(width, height) * this.share));
    const crop = {
      left: Math.floor((width - side) / 2),
      top: Math.floor((height - side) / 2),
      width: side,
      height: side,
    };
    return { crop, flip: false };
  }
}
