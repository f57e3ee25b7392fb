import { F, scope, type Tensor, tensor } from '@conquer/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';

export interface AffineOptions {
  /** Side of the output in pixels. */
  size: number;
  /** Largest rotation to either side, in degrees; default 0. */
  rotation?: number | undefined;
  /** Range of the zoom, drawn log-uniformly; 2 shows everything twice as large. Default 1 to 1. */
  scale?: readonly [number, number] | undefined;
  /** Stretches x by e^u and y by e^-u, u uniform up to this to either side; default 0. */
  stretch?: number | undefined;
  /** Largest shear to either side, as a share of the height; default 0. */
  shear?: number | undefined;
  /** Largest shift to either side along each axis, as a share of the side; default 0. */
  shift?: number | undefined;
  /** Probability of mirroring left to right; default 0. */
  flip?: number | undefined;
  /** What lies outside of the image: its nearest border pixel (default), its mirror image, or a grey in [0, 1]. */
  fill?: 'border' | 'reflection' | number | undefined;
}

/**
 * Rotation, zoom, stretch, shear, shift, mirroring and the change to the output's size in one bilinear sampling:
 * (B, 3, P, P) to (B, 3, size, size). Without options it only resizes, which is what evaluation uses, so that images
 * go through the same sampling as in training. There is no antialiasing: below half the size, fine detail flickers.
 *
 * Draws seven numbers an image, whatever the options.
 */
export class Affine implements BatchTransform {
  /** @throws RangeError for a range of scales that is not positive, or upside down */
  constructor(private readonly options: AffineOptions) {
    const [least, most] = options.scale ?? [1, 1];
    if (!(least > 0 && most >= least)) {
      throw new RangeError(`Affine: expected a range of positive scales, got ${least} to ${most}`);
    }
  }

  /** (B, 3, P, P) to (B, 3, size, size) of the same dtype; it belongs to the caller. */
  apply(images: Tensor, random: Random): Tensor {
    const { size, fill = 'border', flip = 0 } = this.options;
    const batch = images.size(0);
    const thetas = new Float32Array(batch * 6);
    for (let image = 0; image < batch; image++) thetas.set(this.drawMatrix(random, flip), image * 6);
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

  /** The row-major 2×3 matrix from a point of the output to the point of the input to read, both in [-1, 1]². */
  private drawMatrix(random: Random, flip: number): number[] {
    const { rotation = 0, scale = [1, 1], stretch = 0, shear = 0, shift = 0 } = this.options;
    const around = (most: number) => random.uniform(-most, most);
    const angle = (around(rotation) * Math.PI) / 180;
    const zoom = Math.exp(random.uniform(Math.log(scale[0]), Math.log(scale[1])));
    const ratio = Math.exp(around(stretch));
    const slant = around(shear);
    // The side is 2 in these coordinates.
    const [shiftX, shiftY] = [2 * around(shift), 2 * around(shift)];
    const mirror = random.next() < flip ? -1 : 1;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const [x, y] = [1 / (zoom * ratio), ratio / zoom];
    return [
      mirror * cos * x,
      (slant * cos - sin) * y,
      shiftX,
      mirror * sin * x,
      (slant * sin + cos) * y,
      shiftY,
    ];
  }
}
