import type { Crop, ImageSize, ResizeFilter } from '@conquer-dml/image';
import type { Random } from '../random.js';
import type { CropDecision, Cropping } from './cropping.js';

export interface RandomResizedCropOptions {
  /** Side of the output in pixels. */
  size: number;
  /** Range of the crop's share of the image's area, drawn uniformly; default 0.08 to 1. */
  area?: readonly [number, number] | undefined;
  /** Range of width / height, drawn log-uniformly; default 3/4 to 4/3. */
  ratio?: readonly [number, number] | undefined;
  /** Probability of mirroring left to right; default 0.5. */
  flip?: number | undefined;
  /** How the crop is resized; default 'bilinear'. */
  filter?: ResizeFilter | undefined;
}

/**
 * A crop of random area and shape at a random place, resized to a square, and mirrored half the time: torchvision's
 * RandomResizedCrop. Ten attempts to find a crop that fits, then the largest central one of an allowed shape.
 */
export class RandomResizedCrop implements Cropping {
  readonly size: number;
  readonly filter: ResizeFilter;
  private readonly area: readonly [number, number];
  private readonly ratio: readonly [number, number];
  private readonly flip: number;

  /** @throws RangeError for a range that is not positive, or upside down */
  constructor({
    size,
    area = [0.08, 1],
    ratio = [3 / 4, 4 / 3],
    flip = 0.5,
    filter = 'bilinear',
  }: RandomResizedCropOptions) {
    for (const [name, [least, most]] of Object.entries({ area, ratio })) {
      if (!(least > 0 && most >= least)) {
        throw new RangeError(
          `RandomResizedCrop: expected a positive range of ${name}, got ${least} to ${most}`,
        );
      }
    }
    this.size = size;
    this.filter = filter;
    this.area = area;
    this.ratio = ratio;
    this.flip = flip;
  }

  draw(image: ImageSize, random: Random): CropDecision {
    const crop = this.attempt(image, random) ?? this.central(image);
    return { crop, flip: random.next() < this.flip };
  }

  private attempt({ width, height }: ImageSize, random: Random): Crop | undefined {
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = width * height * random.uniform(...this.area);
      const ratio = Math.exp(random.uniform(Math.log(this.ratio[0]), Math.log(this.ratio[1])));
      const crop = {
        width: Math.round(Math.sqrt(area * ratio)),
        height: Math.round(Math.sqrt(area / ratio)),
      };
      if (crop.width < 1 || crop.width > width || crop.height < 1 || crop.height > height) continue;
      const top = random.int(height - crop.height + 1);
      const left = random.int(width - crop.width + 1);
      return { left, top, ...crop };
    }
    return undefined;
  }

  private central(image: ImageSize): Crop {
    const ratio = Math.min(Math.max(image.width / image.height, this.ratio[0]), this.ratio[1]);
    const width = Math.max(1, Math.min(image.width, Math.round(image.height * ratio)));
    const height = Math.max(1, Math.min(image.height, Math.round(image.width / ratio)));
    return {
      left: Math.floor((image.width - width) / 2),
      top: Math.floor((image.height - height) / 2),
      width,
      height,
    };
  }
}
