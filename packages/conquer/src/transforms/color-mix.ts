import { aten, scope, type Tensor, tensor } from '@conquer/torch';
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
    const [batch = 0, channels = 0, height = 0, width = 0] = images.shape;
    const matrices = new Float32Array(batch * 9);
    for (let image = 0; image < batch; image++) matrices.set(this.drawMatrix(random), image * 9);
    return scope(() => {
      const mix = tensor(matrices, { shape: [batch, 3, 3] }).to({
        dtype: images.dtype,
        device: images.device,
      });
      // In place of u' = A u on ink, 1 - u' = (1 - A 1) + A x: one product that adds the constant.
      const constant = mix.sum(2, true).mul(-1).add_(1);
      const mixed = aten.baddbmm(constant, mix, images.reshape([batch, channels, height * width]));
      return mixed.clamp_({ min: 0, max: 1 }).view([batch, channels, height, width]);
    });
  }

  private drawMatrix(random: Random): number[] {
    const { contrast = 0.4, saturation = 0.4, mixing = 0.2, grayscale = 0.2 } = this.options;
    const isGray = random.next() < grayscale;
    const drawn = random.uniform(1 - saturation, 1 + saturation);
    const kept = isGray ? 0 : drawn;
    const factor = random.uniform(1 - contrast, 1 + contrast);
    return Array.from({ length: 9 }, (_, entry) => {
      const noise = mixing * random.normal();
      const base = (1 - kept) / 3 + (entry % 4 === 0 ? kept : 0);
      return factor * (base + (isGray ? 0 : noise));
    });
  }
}
