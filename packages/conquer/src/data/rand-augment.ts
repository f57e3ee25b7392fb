import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part } from '../part.js';
import type { Random } from '../random.js';
import type { AugmentationContext } from './augmentation.js';
import type { BatchTransform } from './batch-transform.js';
import * as operators from './byte-operators.js';
import { Compose } from './compose.js';
import { cropOptions } from './crop-options.js';
import { Normalize } from './normalize.js';
import { erasingOf, RandomErasing } from './random-erasing.js';
import { RandomResizedCrop } from './random-resized-crop.js';
import type { View } from './view.js';

/** An operator, its number by the magnitude as a share 0…1 of the largest, and whether that is turned round half the time. */
interface Choice {
  operator: operators.ByteOperator | null;
  value: (share: number, size: { height: number; width: number }) => number;
  signed: boolean;
}

const nothing = () => 0;
const factors = (operator: operators.ByteOperator): Choice => ({
  operator: (images, values) =>
    operator(
      images,
      values.map((value) => 1 + value),
    ),
  value: (share) => 0.9 * share,
  signed: true,
});

/** The operators in torchvision's order, with its ranges. */
const choices: Readonly<Record<string, Choice>> = {
  identity: { operator: null, value: nothing, signed: false },
  shearX: { operator: operators.shearX, value: (share) => 0.3 * share, signed: true },
  shearY: { operator: operators.shearY, value: (share) => 0.3 * share, signed: true },
  translateX: {
    operator: operators.translateX,
    value: (share, { width }) => (150 / 331) * width * share,
    signed: true,
  },
  translateY: {
    operator: operators.translateY,
    value: (share, { height }) => (150 / 331) * height * share,
    signed: true,
  },
  rotate: { operator: operators.rotate, value: (share) => 30 * share, signed: true },
  brightness: factors(operators.brightness),
  color: factors(operators.saturation),
  contrast: factors(operators.contrast),
  sharpness: factors(operators.sharpness),
  posterize: { operator: operators.posterize, value: (share) => 8 - halfToEven(4 * share), signed: false },
  solarize: { operator: operators.solarize, value: (share) => 255 * (1 - share), signed: false },
  autoContrast: { operator: operators.autoContrast, value: nothing, signed: false },
  equalize: { operator: operators.equalize, value: nothing, signed: false },
};

/** The operators' names, in torchvision's order. */
export const randAugmentOperators: readonly string[] = Object.keys(choices);

function halfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** What is done to one image: the operators by name, each with its number. */
export type RandAugmentDraw = readonly { readonly name: string; readonly value: number }[];

export const randAugmentOptions = z.strictObject({
  numOps: z.int().min(0).max(16).default(2).describe('operators one after the other, for each image'),
  magnitude: z.int().min(0).max(1000).default(9).describe('strength of the operators, of numMagnitudeBins'),
  numMagnitudeBins: z.int().min(2).max(1001).default(31).describe('strengths that there are, from none at 0'),
});

/**
 * Operators drawn for each image, of 14, all of one strength: torchvision's RandAugment (Cubuk et al. 2020), on images
 * (B, 3, H, W) in [0, 1], which become whole steps of 1/255. Geometry reads the nearest pixel, and black from outside.
 *
 * Draws, for each image and operator, the operator, and the sign where it has one.
 */
export class RandAugment implements BatchTransform {
  private readonly numOps: number;
  private readonly share: number;

  /** @throws OptionError for a magnitude that is none of the bins */
  constructor({ numOps = 2, magnitude = 9, numMagnitudeBins = 31 }: z.input<typeof randAugmentOptions> = {}) {
    if (magnitude >= numMagnitudeBins)
      throw new OptionError(
        'magnitude',
        `expected one below numMagnitudeBins, ${numMagnitudeBins}, got ${magnitude}`,
        'RandAugment',
      );
    this.numOps = numOps;
    this.share = magnitude / (numMagnitudeBins - 1);
  }

  /** What is to be done to an image of this size. */
  draw(size: { height: number; width: number }, random: Random): RandAugmentDraw {
    return Array.from({ length: this.numOps }, () => {
      const name = randAugmentOperators[random.int(randAugmentOperators.length)]!;
      const { value, signed } = choices[name]!;
      const sign = signed && random.int(2) === 1 ? -1 : 1;
      return { name, value: sign * value(this.share, size) };
    });
  }

  apply(images: Tensor, random: Random): Tensor {
    const [batch = 0, , height = 0, width = 0] = images.shape;
    const draws = Array.from({ length: batch }, () => this.draw({ height, width }, random));
    return scope(() => {
      const bytes = images.mul(255).round().to('float32');
      return applyRandAugment(bytes, draws).div(255).to(images.dtype);
    });
  }
}

/** Does to images of whole numbers 0 to 255 (B, 3, H, W) what was drawn for each; the result belongs to the caller. */
export function applyRandAugment(images: Tensor, draws: readonly RandAugmentDraw[]): Tensor {
  return scope(() => {
    let current = images;
    const rounds = Math.max(0, ...draws.map(({ length }) => length));
    for (let round = 0; round < rounds; round++) {
      for (const name of randAugmentOperators) {
        const { operator } = choices[name]!;
        const chosen = draws.flatMap((draw, image) => (draw[round]?.name === name ? [image] : []));
        if (operator === null || chosen.length === 0) continue;
        const index = tensor(chosen, { dtype: 'int64', device: images.device });
        const values = chosen.map((image) => draws[image]![round]!.value);
        current = aten.index_copy(current, 0, index, operator(current.indexSelect(0, index), values));
      }
    }
    return current === images ? images.clone() : current;
  });
}

export const randAugment = {
  ...part({
    name: 'rand-augment',
    help: "as standard; then operators drawn for each image, torchvision's RandAugment (Cubuk et al. 2020)",
    options: randAugmentOptions.extend(cropOptions.shape).extend(erasingOf(0).shape),
    build: ({ minArea, erase, ...options }, { size, input }: AugmentationContext): View => ({
      cropping: new RandomResizedCrop({ size, area: [minArea, 1], filter: input.interpolation }),
      transform: new Compose([
        new RandAugment(options),
        new Normalize(input),
        new RandomErasing({ probability: erase }),
      ]),
    }),
  }),
  whole: false,
};
