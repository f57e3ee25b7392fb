import { z } from 'zod';
import { part } from '../part.js';
import type { AugmentationContext } from './augmentation.js';
import { ColorJitter } from './color-jitter.js';
import { Compose } from './compose.js';
import { cropOptions } from './crop-options.js';
import { Normalize } from './normalize.js';
import { RandomApply } from './random-apply.js';
import { erasingOf, RandomErasing } from './random-erasing.js';
import { RandomResizedCrop } from './random-resized-crop.js';
import type { View } from './view.js';

const factor = (what: string) =>
  z
    .number()
    .min(0)
    .max(100)
    .default(0.4)
    .describe(`factors of the ${what} from 1 less this, at least 0, to 1 more`);

export const colorJitter = {
  ...part({
    name: 'color-jitter',
    help: "as standard; then other brightness, contrast, saturation and hue, torchvision's ColorJitter",
    options: z.strictObject({
      brightness: factor('brightness'),
      contrast: factor('contrast'),
      saturation: factor('saturation'),
      hue: z
        .number()
        .min(0)
        .max(0.5)
        .default(0.1)
        .describe('turns of the hue up to this share of the circle'),
      probability: z.number().min(0).max(1).default(1).describe('of an image to be changed'),
      ...cropOptions.shape,
      ...erasingOf(0).shape,
    }),
    build: ({ minArea, erase, probability, ...ranges }, { size, input }: AugmentationContext): View => ({
      cropping: new RandomResizedCrop({ size, area: [minArea, 1], filter: input.interpolation }),
      transform: new Compose([
        new RandomApply(new ColorJitter(ranges), probability),
        new Normalize(input),
        new RandomErasing({ probability: erase }),
      ]),
    }),
  }),
  whole: false,
};
