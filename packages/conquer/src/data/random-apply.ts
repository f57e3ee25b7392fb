import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

/**
 * A transform on some images of a batch only, each with the same probability. It must keep the size of the images.
 *
 * Draws a number an image, then what the transform draws for the chosen ones.
 */
export class RandomApply implements BatchTransform {
  constructor(
    private readonly transform: BatchTransform,
    private readonly probability: number,
  ) {
    if (!(probability >= 0 && probability <= 1)) {
      throw new RangeError(`RandomApply: expected a probability from 0 to 1, got ${probability}`);
    }
  }

  apply(images: Tensor, random: Random): Tensor {
    const chosen = Array.from({ length: images.size(0) }, (_, image) => image).filter(
      () => random.next() < this.probability,
    );
    if (chosen.length === 0) return images;
    return scope(() => {
      const index = tensor(chosen, { dtype: 'int64', device: images.device });
      return aten.index_copy(images, 0, index, this.transform.apply(images.indexSelect(0, index), random));
    });
  }
}
