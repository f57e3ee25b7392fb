import { scope, type Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';
import { luminance, perImage } from './color.js';

export interface GrayscaleOptions {
  /** Probability that an image loses its colours; default 0.2. */
  probability?: number | undefined;
}

/** Some images as grey ones of three equal channels, by torchvision's luminance. Draws a number an image. */
export class Grayscale implements BatchTransform {
  private readonly probability: number;

  constructor({ probability = 0.2 }: GrayscaleOptions = {}) {
    this.probability = probability;
  }

  apply(images: Tensor, random: Random): Tensor {
    const chosen = Array.from({ length: images.size(0) }, () => (random.next() < this.probability ? 1 : 0));
    return scope(() => {
      const isGray = perImage(chosen, images).eq(1);
      return luminance(images).where(isGray, images);
    });
  }
}
