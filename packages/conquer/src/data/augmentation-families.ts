import { z } from 'zod';
import { part } from '../part.js';
import { Affine } from './affine.js';
import type { AugmentationContext } from './augmentation.js';
import type { BatchTransform } from './batch-transform.js';
import { Blur } from './blur.js';
import { BrightnessContrast } from './brightness-contrast.js';
import { CoarseDropout } from './coarse-dropout.js';
import { ColorJitter } from './color-jitter.js';
import { Compose } from './compose.js';
import { Grayscale } from './grayscale.js';
import { Normalize } from './normalize.js';
import { RandomApply } from './random-apply.js';
import { RandomResizedCrop } from './random-resized-crop.js';
import type { View } from './view.js';

/** The families of table 5 of the paper (arXiv 2109.04003), besides the standard one. */
export const augmentationFamilies = ['geom', 'geom-color', 'color-heavy'] as const;
/** A name that `augmentationFamily` knows. */
export type AugmentationFamily = (typeof augmentationFamilies)[number];

/** The side in pixels at which the holes are 40 pixels wide; they keep their share of smaller or larger images. */
const HOLE = { side: 40, of: 224 };

/**
 * What a family does to images (B, 3, size, size) in [0, 1] that were cut out and flipped as the standard
 * augmentation does. Each step has its probability, for each image on its own.
 *
 * - geom: turn by up to 45° and shift by up to 1/16, coarse dropout, blur; each half of the time
 * - geom-color: brightness and contrast before that
 * - color-heavy: colour jitter (0.4, 0.4, 0.4, 0.1) for 4 of 5 images, grey for 1 of 5
 *
 * dcesml's geom turns the image before it is cut out, so that fewer mirrored borders show; here it is turned
 * after, as in geom-color.
 *
 * @param size side of the images, in pixels
 */
export function augmentationFamily(family: AugmentationFamily, size: number): BatchTransform {
  const half = (transform: BatchTransform) => new RandomApply(transform, 0.5);
  const hole = Math.max(1, Math.round((HOLE.side * size) / HOLE.of));
  const geometry = [
    half(new Affine({ size, rotation: 45, shift: 0.0625, fill: 'reflection' })),
    half(new CoarseDropout({ side: [hole, hole] })),
    half(new Blur()),
  ];
  switch (family) {
    case 'geom':
      return new Compose(geometry);
    case 'geom-color':
      return new Compose([half(new BrightnessContrast()), ...geometry]);
    case 'color-heavy':
      return new Compose([new RandomApply(new ColorJitter(), 0.8), new Grayscale()]);
  }
}

/** Cut out and mirrored as the standard augmentation does, and then the family. */
const familyPart = <const Name extends AugmentationFamily>(name: Name, help: string) => ({
  ...part({
    name,
    help,
    options: z.strictObject({}),
    build: (_, { size, input }: AugmentationContext): View => ({
      cropping: new RandomResizedCrop({ size, filter: input.interpolation }),
      transform: new Compose([augmentationFamily(name, size), new Normalize(input)]),
    }),
  }),
  whole: false,
});

export const geom = familyPart('geom', 'as standard; then turned and shifted, holes, blur');
export const geomColor = familyPart('geom-color', 'as geom, and brightness and contrast');
export const colorHeavy = familyPart('color-heavy', 'as standard; then colour jitter, and grey for one of 5');
