import { aten, scope, tensor } from '@conquer-dml/torch';

/**
 * The standard error of a mean over queries, where it is the classes that were drawn and queries of one class are alike:
 *
 *   √(C / (C − 1) · Σ_c (Σ_{q in c} (v_q − v̄))²) / N
 *
 * That is the error of a regression on a constant, clustered by class (Liang and Zeger, "Longitudinal data analysis using
 * generalized linear models", Biometrika 1986; statsmodels' `cov_type='cluster'`). Where all classes have as many queries, it is
 * the standard deviation of the classes' means over √C.
 *
 * @param values (N,) one of each query, such as 1 for a hit and 0 for a miss
 * @param labels (N,) the queries' classes
 * @returns null of fewer than two classes, which say nothing of others
 */
export function standardErrorOverClasses(
  values: ArrayLike<number>,
  labels: ArrayLike<number>,
): number | null {
  const count = values.length;
  // Divided once, so that values that are all the same have no error at all.
  let total = 0;
  for (let query = 0; query < count; query++) total += values[query] as number;
  const mean = total / count;
  const sums = new Map<number, number>();
  for (let query = 0; query < count; query++) {
    const label = labels[query] as number;
    sums.set(label, (sums.get(label) ?? 0) + (values[query] as number) - mean);
  }
  if (sums.size < 2) return null;
  let squares = 0;
  for (const sum of sums.values()) squares += sum * sum;
  return Math.sqrt((sums.size / (sums.size - 1)) * squares) / count;
}

/** The probability that a standard normal number is at least this far from 0, on either side. */
export function twoSidedTail(z: number): number {
  return scope(() => aten.erfc(tensor([Math.abs(z) / Math.SQRT2], { dtype: 'float64' })).item());
}

/**
 * The probability that Student's t of so many degrees of freedom is at least this far from 0, on either side: the closed form for whole
 * numbers (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4).
 */
export function twoSidedT(t: number, freedom: number): number {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(freedom));
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = freedom === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k <= freedom - 2; k += 2) {
    term *= ((k - 1) / k) * cosine ** 2;
    sum += term;
  }
  const within = isOdd ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
  return Math.max(0, 1 - within);
}
