import type { Preprocessing } from '@conquer/run';

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
