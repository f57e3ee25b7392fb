import type { Metrics } from '@conquer-dml/run';

/** R@1 from which on there is little left of it. */
const NEAR_ITS_END = 0.9;
/** By so much MAP@R is lower where most of a class is still to be found. */
const FAR_BELOW = 0.2;

/**
 * Whether R@1 is near its end and MAP@R far from it: nearly every query finds one image like it, such as the next of a burst, and
 * not the others of its class. What is better then, R@1 hardly shows.
 *
 * @param metrics fractions, with R@1 and MAP@R; without either: false
 */
export function isSaturated({ 'R@1': recall, 'MAP@R': precision }: Metrics): boolean {
  return (
    recall !== undefined &&
    precision !== undefined &&
    recall >= NEAR_ITS_END &&
    precision <= recall - FAR_BELOW
  );
}
