import type { Reduction } from '@conquer/image';

/**
 * What a run's network is given of an image that nothing is drawn for: in evaluation and divisions, in an index, as a
 * query. One definition for all of them, as embeddings of other pixels are other embeddings.
 */
export interface Preprocessing {
  /** Side of what the network sees, in pixels. */
  size: number;
  /** Short side before the centre is cut out, in pixels. */
  resize: number;
  /**
   * How images are reduced, to 8 bits, before any part of them is read, as a cache of decoded images holds them; null:
   * parts are cut out of what the files hold. It is the same whether there is a cache or not.
   */
  reduction: Reduction | null;
}

/** By a run's settings: its `augmentation` and `cache` say how its images were kept. */
export function preprocessingOf(settings: {
  'image-size': number;
  resize: number;
  augmentation?: unknown;
  cache?: unknown;
}): Preprocessing {
  const { 'image-size': size, resize, augmentation, cache } = settings;
  if (cache !== 'yes') return { size, resize, reduction: null };
  // Icons are used whole, and brought to size from the cached ones.
  const square = augmentation === 'icons' || augmentation === 'none';
  return { size, resize, reduction: { size: resize, square } };
}
