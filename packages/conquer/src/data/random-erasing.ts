import { scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Random } from '../random.js';
import type { AugmentationContext } from './augmentation.js';
import type { BatchTransform } from './batch-transform.js';
import { Compose } from './compose.js';
import { cropOptions } from './crop-options.js';
import { Normalize } from './normalize.js';
import { RandomResizedCrop } from './random-resized-crop.js';
import type { View } from './view.js';

/** A rectangle of an image, in pixels. */
export interface Erased {
  top: number;
  left: number;
  height: number;
  width: number;
}

export interface RandomErasingOptions {
  /** Of an image to lose a rectangle; default 0.5. */
  probability?: number | undefined;
  /** Range of the rectangle's share of the image; default 0.02 to 0.33. */
  area?: readonly [number, number] | undefined;
  /** Range of its height by its width; default 0.3 to 3.3. */
  ratio?: readonly [number, number] | undefined;
}

/** The option of an augmentation that ends with it. */
export const erasingOf = (probability: number) =>
  z.strictObject({
    erase: z
      .number()
      .min(0)
      .max(1)
      .default(probability)
      .describe('probability of an image to lose a rectangle at the end (random erasing, Zhong et al. 2020)'),
  });

/**
 * A rectangle of random area and shape at a random place becomes 0, which is the mean colour of normalised images:
 * torchvision's RandomErasing. Ten attempts to find one that is smaller than the image; then it stays whole.
 *
 * Draws a number an image; of those that lose something, two for each attempt and two for the place.
 */
export class RandomErasing implements BatchTransform {
  private readonly probability: number;
  private readonly area: readonly [number, number];
  private readonly ratio: readonly [number, number];

  /** @throws RangeError for a range that is not positive, or upside down, or a probability that is none */
  constructor({ probability = 0.5, area = [0.02, 0.33], ratio = [0.3, 3.3] }: RandomErasingOptions = {}) {
    for (const [name, [least, most]] of Object.entries({ area, ratio }))
      if (!(least > 0 && most >= least))
        throw new RangeError(`RandomErasing: expected a positive range of ${name}, got ${least} to ${most}`);
    if (!(probability >= 0 && probability <= 1))
      throw new RangeError(`RandomErasing: expected a probability from 0 to 1, got ${probability}`);
    this.probability = probability;
    this.area = area;
    this.ratio = ratio;
  }

  /** What an image of this size loses; null: nothing. */
  draw({ height, width }: { height: number; width: number }, random: Random): Erased | null {
    if (random.next() >= this.probability) return null;
    for (let attempt = 0; attempt < 10; attempt++) {
      const area = height * width * random.uniform(...this.area);
      const ratio = Math.exp(random.uniform(Math.log(this.ratio[0]), Math.log(this.ratio[1])));
      const [h, w] = [Math.round(Math.sqrt(area * ratio)), Math.round(Math.sqrt(area / ratio))];
      if (h >= height || w >= width) continue;
      return { top: random.int(height - h + 1), left: random.int(width - w + 1), height: h, width: w };
    }
    return null;
  }

  apply(images: Tensor, random: Random): Tensor {
    const [batch = 0, , height = 0, width = 0] = images.shape;
    const erased = Array.from({ length: batch }, () => this.draw({ height, width }, random));
    if (erased.every((one) => one === null)) return images;
    const gone = new Uint8Array(batch * height * width);
    for (const [image, one] of erased.entries()) {
      if (one === null) continue;
      for (let row = one.top; row < one.top + one.height; row++) {
        const start = (image * height + row) * width + one.left;
        gone.fill(1, start, start + one.width);
      }
    }
    return scope(() => {
      const mask = tensor(gone, { shape: [batch, 1, height, width] }).to({ device: images.device });
      return images.maskedFill(mask.gt(0), 0);
    });
  }
}

export const randomErasing = {
  ...part({
    name: 'random-erasing',
    help: 'as standard; then a rectangle becomes the mean colour (Zhong et al. 2020)',
    options: cropOptions.extend(erasingOf(0.5).shape),
    build: ({ minArea, erase }, { size, input }: AugmentationContext): View => ({
      cropping: new RandomResizedCrop({ size, area: [minArea, 1], filter: input.interpolation }),
      transform: new Compose([new Normalize(input), new RandomErasing({ probability: erase })]),
    }),
  }),
  whole: false,
};
