import type { AugmentationPart } from './augmentation.js';
import { colorHeavy, geom, geomColor } from './augmentation-families.js';
import { colorJitter } from './color-jitter-augmentation.js';
import { icons } from './icons.js';
import { none } from './none.js';
import { randAugment } from './rand-augment.js';
import { randomErasing } from './random-erasing.js';
import { standard } from './standard.js';

/** The augmentations that an experiment can name. */
export const augmentations = [
  standard,
  geom,
  geomColor,
  colorHeavy,
  colorJitter,
  randAugment,
  randomErasing,
  icons,
  none,
] as const satisfies readonly AugmentationPart[];
