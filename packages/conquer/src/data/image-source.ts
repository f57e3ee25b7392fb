import type { ImageError } from '@conquer-dml/image';
import type { Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';

/** Told of an image that cannot be read, and its place among those that were asked for. */
export type OnBadImage = (error: ImageError, place: number) => void;

/** Where a loader gets its images from. */
export interface ImageSource {
  /** The number of images; positions are 0..count-1. */
  readonly count: number;
  /**
   * Reads the images at these positions, in this order.
   * @param random draws what belongs to the reading (crops); drawn from in the order of the positions
   * @param signal ends the reading early
   * @param onBad told of each image that cannot be read, in their order, with its place among the positions; the
   *   others are read all the same. Without it such an image is an error
   * @returns uint8 (B, H, W, 3) on the CPU, RGB, without rows of those that `onBad` was told of; the caller disposes
   *   it
   */
  read(positions: Int32Array, random: Random, signal: AbortSignal, onBad?: OnBadImage): Promise<Tensor>;
}
