// Means over seeds, and paired differences.
import { twoSidedT } from '../packages/conquer/dist/evaluate/standard-error.js';

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard error of a mean; null of fewer than two. */
export function standardError(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** Of values by seed: of the seeds that both have, the mean difference, its standard error, and p of a paired t test. */
export function paired(values, over) {
  const gains = [...values].flatMap(([seed, value]) => (over.has(seed) ? [value - over.get(seed)] : []));
  if (gains.length === 0) return null;
  const [difference, error] = [mean(gains), standardError(gains)];
  const p = error ? twoSidedT(difference / error, gains.length - 1) : null;
  return { difference, error, p, count: gains.length };
}
