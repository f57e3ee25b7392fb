import type { Tensor } from '@conquer/torch';
import type { Random } from '../random.js';

/** Where a loader gets its images from. */
export interface ImageSource {
  /** The number of images; positions are 0..count-1. */
  readonly count: number;
  /**
   * Reads the images at these positions, in this order.
   * @param random draws what belongs to the reading (crops); drawn from in the order of the positions
   * @param signal ends the reading early
   * @returns uint8 (B, H, W, 3) on the CPU, RGB; the caller disposes it
   */
  read(positions: Int32Array, random: Random, signal: AbortSignal): Promise<Tensor>;
}
