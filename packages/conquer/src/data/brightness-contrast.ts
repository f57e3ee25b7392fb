import { scope, type Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';
import { perImage } from './color.js';

export interface BrightnessContrastOptions {
  /** Added to the values, from minus this to this; default 0.2. */
  brightness?: number | undefined;
  /** Factors of the values from 1 - this to 1 + this; default 0.2. */
  contrast?: number | undefined;
}

/**
 * a x + b for each image, clamped to [0, 1]: albumentations' RandomBrightnessContrast. Unlike ColorJitter, its contrast
 * is about black and its brightness is a shift. Draws two numbers an image.
 */
export class BrightnessContrast implements BatchTransform {
  private readonly brightness: number;
  private readonly contrast: number;

  constructor({ brightness = 0.2, contrast = 0.2 }: BrightnessContrastOptions = {}) {
    this.brightness = brightness;
    this.contrast = contrast;
  }

  apply(images: Tensor, random: Random): Tensor {
    const draw = (middle: number, most: number) =>
      Array.from({ length: images.size(0) }, () => random.uniform(middle - most, middle + most));
    const [factors, shifts] = [draw(1, this.contrast), draw(0, this.brightness)];
    return scope(() =>
      images.mul(perImage(factors, images)).add_(perImage(shifts, images)).clamp_({ min: 0, max: 1 }),
    );
  }
}
