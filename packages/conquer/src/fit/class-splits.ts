import { UserError } from '@conquer-dml/run';
import { Random } from '../random.js';
import type { LabelledPhotos } from './kept-data.js';

/** Share of a split's training classes that are held out of training, to choose by. */
export const VALIDATION = 0.25;
/** The fewest classes that can be told apart by anything: two to train on, to validate on and to test on. */
export const FEWEST_CLASSES = 6;

/** Classes of a split; no class is in two of the lists. */
export interface ClassSplit {
  seed: number;
  /** Trained on while it is to be settled how. */
  fitted: Int32Array;
  /** Held out of training, to settle head and length by. */
  validation: Int32Array;
  /** Seen once, in the end. */
  test: Int32Array;
}

/**
 * Shares the classes out: in the order that the seed gives, the first half (the larger one of an odd number) trains and the other
 * tests; of those that train, the last quarter (at least two) validates.
 *
 * @param classes that have two photos or more
 * @throws UserError for fewer than six
 */
export function splitClasses(classes: Int32Array, seed: number): ClassSplit {
  if (classes.length < FEWEST_CLASSES)
    throw new UserError(
      `expected at least ${FEWEST_CLASSES} classes with two photos or more, to train, validate and test on classes apart, got ${classes.length}`,
    );
  const order = new Random(seed).permutation(classes.length).map((at) => classes[at]!);
  const half = Math.ceil(order.length / 2);
  const held = Math.min(half - 2, Math.max(2, Math.round(VALIDATION * half)));
  // With six classes a half is three: one class validates nothing by itself, so the test gives one.
  const fitted = order.subarray(0, Math.max(2, half - held));
  const validation = order.subarray(fitted.length, Math.max(half, fitted.length + 2));
  return { seed, fitted, validation, test: order.subarray(fitted.length + validation.length) };
}

/**
 * The photos of some classes, in their order.
 *
 * @param labels (N,) the class of each photo
 * @param bad (N,) 1 for photos to leave out
 * @param categories of all classes, by label
 */
export function photosOf(
  classes: Iterable<number>,
  labels: Int32Array,
  bad: Uint8Array,
  categories?: readonly string[],
): LabelledPhotos {
  const numbers = new Map([...classes].map((label, at) => [label, at]));
  const photos = Int32Array.from(labels.keys()).filter((at) => bad[at] === 0 && numbers.has(labels[at]!));
  return {
    photos,
    labels: photos.map((at) => numbers.get(labels[at]!)!),
    categories: categories && Array.from(numbers.keys(), (label) => categories[label]!),
  };
}
