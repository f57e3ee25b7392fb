import type { Crop, ImageSize } from '@conquer/image';
import type { Random } from '../random.js';

/** What of an image is read. */
export interface CropDecision {
  crop: Crop;
  /** Mirror left to right. */
  flip: boolean;
}

/** Chooses, before an image is decoded, the part of it that is read, in pixels of the oriented image. */
export interface Cropping {
  /** Side in pixels that the part is resized to. */
  readonly size: number;
  /** @param image its oriented size, in pixels */
  draw(image: ImageSize, random: Random): CropDecision;
}
