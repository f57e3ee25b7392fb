import { F, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import { type AffineRanges, checkAffine, drawAffine } from './affine-matrix.js';
import type { BatchTransform } from './batch-transform.js';

export interface AffineOptions extends AffineRanges {
  /** Side of the output in pixels. */
  size: number;
  /** What lies outside of the image: its nearest border pixel (default), its mirror image, or a grey in [0, 1]. */
  fill?: 'border' | 'reflection' | number | undefined;
}

/**
 * Rotation, zoom, stretch, shear, shift, mirroring and the change to the output's size in one bilinear sampling:
 * (B, 3, P, P) to (B, 3, size, size). Without options it only resizes. There is no antialiasing: below half the size,
 * fine detail flickers. AffineCrop does the same while images are read.
 *
 * Draws seven numbers an image, whatever the options.
 */
export class Affine implements BatchTransform {
  /** @throws RangeError for a range of scales that is not positive, or upside down */
  constructor(private readonly options: AffineOptions) {
    checkAffine('Affine', options);
  }

  /** (B, 3, P, P) to (B, 3, size, size) of the same dtype; it belongs to the caller. */
  apply(images: Tensor, random: Random): Tensor {
    const { size, fill = 'border' } = this.options;
    const batch = images.size(0);
    const thetas = new Float32Array(batch * 6);
    for (let image = 0; image < batch; image++) thetas.set(drawAffine(this.options, random), image * 6);
    return scope(() => {
      const theta = tensor(thetas, { shape: [batch, 2, 3] }).to({
        dtype: images.dtype,
        device: images.device,
      });
      const grid = F.affineGrid(theta, [batch, images.size(1), size, size]);
      if (typeof fill === 'string') return F.gridSample(images, grid, { paddingMode: fill });
      // Padding is with zeros: shift the values so that zero is the wanted grey.
      if (fill === 0) return F.gridSample(images, grid);
      return F.gridSample(images.sub(fill), grid).add_(fill);
    });
  }
}
