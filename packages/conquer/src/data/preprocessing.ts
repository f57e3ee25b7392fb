import type { Preprocessing } from '@conquer/run';
import { z } from 'zod';

/** What an experiment says of how its images are read, besides the augmentation. */
export const imageOptions = z.strictObject({
  imageSize: z.int().min(8).default(224).describe('side of the images that the network sees, in pixels'),
  resize: z
    .int()
    .min(8)
    .nullable()
    .default(null)
    .describe('short side before the centre is cut out, in pixels; null: 8/7 of imageSize'),
  cache: z
    .boolean()
    .default(false)
    .describe('decode every image once, reduced to resize, and keep the pixels'),
  onBadImage: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe(
      'an image that cannot be read ends the run, or another of its class takes its place, for up to 5 %',
    ),
});

/** The short side before the centre is cut out, of an experiment that may leave it to the size: 256 for 224. */
export function shortSideOf(resize: number | null, imageSize: number): number {
  return resize ?? Math.round((imageSize * 8) / 7);
}

export interface PreprocessingOptions {
  /** Side of what the network sees, in pixels. */
  size: number;
  /** Short side before the centre is cut out, in pixels. */
  resize: number;
  /** The augmentation's. */
  whole: boolean;
  /** Whether decoded images are to be kept: then they are reduced first, whether or not they are found there later. */
  cache: boolean;
}

/** How images are read that nothing is drawn for, in training, evaluation and search. */
export function preprocessingOf({ size, resize, whole, cache }: PreprocessingOptions): Preprocessing {
  return { size, resize, reduction: cache ? { size: resize, square: whole } : null };
}
