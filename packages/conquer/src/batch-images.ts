import type { Tensor } from '@conquer-dml/torch';

/** The images of a batch, of which a network may take a part at a time. A tensor (B, 3, H, W) is one. */
export interface BatchImages {
  /** [B, 3, H, W] */
  readonly shape: readonly number[];
  /**
   * The images from `start` on, float (count, 3, H, W), the same whenever they are asked for; it belongs to the scope around.
   *
   * @param dim 0
   */
  narrow(dim: 0, start: number, count: number): Tensor;
  dispose(): void;
}
