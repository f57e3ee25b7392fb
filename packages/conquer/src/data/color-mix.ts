import { mixColors, type Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

export interface ColorMixOptions {
  /** Factors of the ink from 1 - this to 1 + this; default 0.4. */
  contrast?: number | undefined;
  /** Factors of the saturation from 1 - this to 1 + this; default 0.4. */
  saturation?: number | undefined;
  /** Standard deviation of the noise on the nine entries of the matrix; default 0.2. */
  mixing?: number | undefined;
  /** Probability that an image loses its colours; default 0.2. */
  grayscale?: number | undefined;
}

/**
 * A random linear map of the colours of each image, for drawings on white. On the ink u = 1 - (R, G, B) of a pixel:
 *
 *     u' = c (s I + (1 - s) J / 3 + N) u,   clamped to [0, 1]
 *
 * with contrast c, saturation s, J all ones, and N noise that mixes the channels. White stays white. One matrix
 * product, so that it costs less than a ColorJitter. A grey image has s = 0 and N = 0.
 *
 * Draws twelve numbers an image, whatever the options.
 */
export class ColorMix implements BatchTransform {
  constructor(private readonly options: ColorMixOptions = {}) {}

  apply(images: Tensor, random: Random): Tensor {
    const batch = images.size(0);
    const matrices = new Float32Array(batch * 12);
    for (let image = 0; image < batch; image++) this.drawMatrix(random, matrices, image * 12);
    return mixColors(images, matrices);
  }

  /** Writes the rows of [A, 1 - A 1] from `at` on: in place of u' = A u on ink, 1 - u' = A x + (1 - A 1). */
  private drawMatrix(random: Random, matrices: Float32Array, at: number): void {
    const { contrast = 0.4, saturation = 0.4, mixing = 0.2, grayscale = 0.2 } = this.options;
    const isGray = random.next() < grayscale;
    const drawn = random.uniform(1 - saturation, 1 + saturation);
    const kept = isGray ? 0 : drawn;
    const factor = random.uniform(1 - contrast, 1 + contrast);
    for (let row = 0; row < 3; row++) {
      const start = at + 4 * row;
      let sum = 0;
      for (let column = 0; column < 3; column++) {
        const noise = mixing * random.normal();
        const base = (1 - kept) / 3 + (row === column ? kept : 0);
        matrices[start + column] = factor * (base + (isGray ? 0 : noise));
        sum += matrices[start + column] as number;
      }
      matrices[start + 3] = 1 - sum;
    }
  }
}
