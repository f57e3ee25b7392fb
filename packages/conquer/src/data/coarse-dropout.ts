import { scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

export interface CoarseDropoutOptions {
  /** Range of the number of holes; default 1 to 5. */
  holes?: readonly [number, number] | undefined;
  /**
   * Range of a hole's height and of its width in pixels, no more than the image has; default 40 to 40, as dcesml's
   * (albumentations makes every hole as large as allowed unless it is told a least size).
   */
  side?: readonly [number, number] | undefined;
}

/**
 * Black rectangles at random places within each image (DeVries and Taylor, "Improved regularization of convolutional
 * neural networks with cutout", 2017). Draws a number an image and four a hole.
 */
export class CoarseDropout implements BatchTransform {
  private readonly holes: readonly [number, number];
  private readonly side: readonly [number, number];

  constructor({ holes = [1, 5], side = [40, 40] }: CoarseDropoutOptions = {}) {
    for (const [name, [least, most]] of Object.entries({ holes, side })) {
      if (!(Number.isSafeInteger(least) && Number.isSafeInteger(most) && least >= 1 && most >= least)) {
        throw new RangeError(`CoarseDropout: expected a range of ${name} from 1 on, got ${least} to ${most}`);
      }
    }
    this.holes = holes;
    this.side = side;
  }

  apply(images: Tensor, random: Random): Tensor {
    const [batch = 0, , height = 0, width = 0] = images.shape;
    const between = ([least, most]: readonly [number, number]) => least + random.int(most - least + 1);
    const covered = new Uint8Array(batch * height * width);
    for (let image = 0; image < batch; image++) {
      const holes = between(this.holes);
      for (let hole = 0; hole < holes; hole++) {
        const [h, w] = [Math.min(height, between(this.side)), Math.min(width, between(this.side))];
        const [top, left] = [random.int(height - h + 1), random.int(width - w + 1)];
        for (let row = top; row < top + h; row++) {
          const start = (image * height + row) * width + left;
          covered.fill(1, start, start + w);
        }
      }
    }
    return scope(() => {
      const mask = tensor(covered, { shape: [batch, 1, height, width] }).to({ device: images.device });
      return images.maskedFill(mask.gt(0), 0);
    });
  }
}
