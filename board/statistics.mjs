// Means over seeds, and paired differences.

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard error of a mean; null of fewer than two. */
export function standardError(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/**
 * The probability that Student's t of so many degrees of freedom is at least this far from 0, on either side: the closed form for whole numbers
 * (Abramowitz and Stegun 26.7.3 and 4).
 */
export function twoSidedT(t, freedom) {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(freedom));
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  let [term, sum] = freedom % 2 === 1 ? [cosine, freedom === 1 ? 0 : cosine] : [1, 1];
  for (let k = freedom % 2 === 1 ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  const within = freedom % 2 === 1 ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
  return Math.max(0, 1 - within);
}

/** Of values by seed: of the seeds that both have, the mean difference, its standard error, and p of a paired t test. */
export function paired(values, over) {
  const gains = [...values].flatMap(([seed, value]) => (over.has(seed) ? [value - over.get(seed)] : []));
  if (gains.length === 0) return null;
  const [difference, error] = [mean(gains), standardError(gains)];
  const p = error ? twoSidedT(difference / error, gains.length - 1) : null;
  return { difference, error, p, count: gains.length };
}
