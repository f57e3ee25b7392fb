import { scope, type Tensor } from '@conquer-dml/torch';
import type { Random } from '../random.js';
import type { BatchTransform } from './batch-transform.js';
import { adjustBrightness_, adjustContrast_, adjustHue_, adjustSaturation_, perImage } from './color.js';

export interface ColorJitterOptions {
  /** Factors from 1 - this (at least 0) to 1 + this; default 0.4. */
  brightness?: number | undefined;
  /** As brightness; default 0.4. */
  contrast?: number | undefined;
  /** As brightness; default 0.4. */
  saturation?: number | undefined;
  /** Turns of the hue up to this share of the colour circle to either side, at most 0.5; default 0.1. */
  hue?: number | undefined;
}

type Adjust = (images: Tensor, parameters: Tensor) => void;

/**
 * Brightness, contrast, saturation and hue, as torchvision's ColorJitter: parameters are drawn for each image, the
 * order of the four for each batch (in torchvision, whose batches are single images, for each image).
 *
 * Draws the order, then, for each of the four that is not 0, a number an image.
 */
export class ColorJitter implements BatchTransform {
  private readonly steps: readonly [adjust: Adjust, low: number, high: number][];

  /** @throws RangeError for a negative number, or a hue above 0.5 */
  constructor(options: ColorJitterOptions = {}) {
    const { brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 } = options;
    if (!(hue >= 0 && hue <= 0.5))
      throw new RangeError(`ColorJitter: expected a hue from 0 to 0.5, got ${hue}`);
    const factor = (adjust: Adjust, most: number): [Adjust, number, number] => {
      if (!(most >= 0)) throw new RangeError(`ColorJitter: expected numbers of at least 0, got ${most}`);
      return [adjust, Math.max(0, 1 - most), 1 + most];
    };
    const all: [Adjust, number, number][] = [
      factor(adjustBrightness_, brightness),
      factor(adjustContrast_, contrast),
      factor(adjustSaturation_, saturation),
      [adjustHue_, -hue, hue],
    ];
    this.steps = all.filter(([, low, high]) => high > low);
  }

  apply(images: Tensor, random: Random): Tensor {
    const order = random.permutation(this.steps.length);
    return scope(() => {
      const result = images.clone();
      for (const index of order) {
        const [adjust, low, high] = this.steps[index]!;
        const parameters = Array.from({ length: images.size(0) }, () => random.uniform(low, high));
        adjust(result, perImage(parameters, images));
      }
      return result;
    });
  }
}
