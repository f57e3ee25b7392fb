import type { Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';

/** An operation on a whole batch, on any device; its parameters are drawn for each image from the Random given. */
export interface BatchTransform {
  /**
   * @param images float (B, 3, H, W), values in [0, 1] until they are normalised; left as they are
   * @returns float (B, 3, H', W'), which belongs to the caller; `images` itself where there is nothing to do
   */
  apply(images: Tensor, random: Random): Tensor;
}
