import type { Crop, ImageSize, ResizeFilter } from '@conquer-dml/image';
import type { Random } from '../random.js';

/** What of an image is read. */
export interface CropDecision {
  crop: Crop;
  /** The size that the whole image is resized to before; the crop is in pixels of that, and of the size that is wanted. */
  whole?: ImageSize;
  /** Mirror left to right. */
  flip: boolean;
  /** Where there is a warp: the row-major 2×3 matrix of `warpImages`. */
  matrix?: readonly number[];
}

/** How the part that was read is sampled again. */
export interface Warp {
  /** Side in pixels that the part is resized to before. */
  from: number;
  /** What lies outside of it: its nearest border pixel, or a grey in [0, 1]. */
  fill: 'border' | number;
}

/** Chooses, before an image is decoded, the part of it that is read, in pixels of the oriented image. */
export interface Cropping {
  /** Side in pixels that the part is resized to. */
  readonly size: number;
  /** How the part is resized; default 'bilinear'. */
  readonly filter?: ResizeFilter;
  /** Each part is resized to `warp.from` instead, and sampled from there along its matrix. */
  readonly warp?: Warp;
  /** @param image its oriented size, in pixels */
  draw(image: ImageSize, random: Random): CropDecision;
}
