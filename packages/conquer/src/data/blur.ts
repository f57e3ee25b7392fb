import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

export interface BlurOptions {
  /** Sides of the averaged square in pixels, odd, each equally likely; default 3, 5 and 7. */
  sides?: readonly number[] | undefined;
}

/**
 * The mean of a square around each pixel, with its side drawn for each image; the border mirrors the image, as
 * albumentations' Blur. Draws a number an image.
 */
export class Blur implements BatchTransform {
  private readonly sides: readonly number[];

  constructor({ sides = [3, 5, 7] }: BlurOptions = {}) {
    if (
      sides.length === 0 ||
      !sides.every((side) => Number.isSafeInteger(side) && side % 2 === 1 && side > 0)
    ) {
      throw new RangeError(`Blur: expected odd positive sides, got ${sides.join(', ')}`);
    }
    this.sides = sides;
  }

  apply(images: Tensor, random: Random): Tensor {
    const drawn = Array.from({ length: images.size(0) }, () => this.sides[random.int(this.sides.length)]);
    return scope(() => {
      const result = images.clone();
      for (const side of this.sides) {
        const chosen = Array.from(drawn.keys()).filter((image) => drawn[image] === side);
        if (chosen.length === 0 || side === 1) continue;
        const index = tensor(chosen, { dtype: 'int64', device: images.device });
        const border = (side - 1) / 2;
        const padded = aten.reflection_pad2d(images.indexSelect(0, index), [border, border, border, border]);
        aten.index_copy_(result, 0, index, aten.avg_pool2d(padded, side, 1));
      }
      return result;
    });
  }
}
