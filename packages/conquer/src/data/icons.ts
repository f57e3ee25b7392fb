import { z } from 'zod';
import { part } from '../part.js';
import { AffineCrop } from './affine-crop.js';
import type { AugmentationContext } from './augmentation.js';
import { ColorMix } from './color-mix.js';
import { Compose } from './compose.js';
import { Normalize } from './normalize.js';
import type { View } from './view.js';

/** Drawings are whole in the picture and face one way: turn, zoom and shift them a little, do not cut or mirror. */
const geometry = {
  rotation: 8,
  scale: [0.8, 1.2],
  stretch: 0.1,
  shift: 0.1,
  fill: 1,
} as const;

export const icons = {
  ...part({
    name: 'icons',
    help: 'for drawings on white: turned, zoomed and shifted a little, and other colours; never cut or mirrored',
    options: z.strictObject({}),
    build: (_, { size, resize, input }: AugmentationContext): View => ({
      cropping: new AffineCrop({ ...geometry, size, from: resize }),
      transform: new Compose([
        new ColorMix({ contrast: 0.3, saturation: 0.3, mixing: 0.1 }),
        new Normalize(input),
      ]),
    }),
  }),
  whole: true,
};
