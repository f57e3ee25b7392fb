/** Values that do not fall. */
export interface IsotonicFit {
  /** Of each block the places it covers: from this one on. */
  starts: number[];
  /** Ascending. */
  values: number[];
}

/**
 * The values that do not fall and are nearest to some others, by weighted least squares: pool adjacent violators (Barlow et al.,
 * Statistical Inference under Order Restrictions, 1972).
 *
 * @param weights above 0, as many
 */
export function isotonic(values: ArrayLike<number>, weights: ArrayLike<number>): IsotonicFit {
  const starts: number[] = [];
  const means: number[] = [];
  const totals: number[] = [];
  for (let at = 0; at < values.length; at++) {
    starts.push(at);
    means.push(values[at]!);
    totals.push(weights[at]!);
    while (means.length > 1 && means.at(-2)! >= means.at(-1)!) {
      const [mean, total] = [means.pop()!, totals.pop()!];
      starts.pop();
      const together = totals.at(-1)! + total;
      means[means.length - 1]! += ((mean - means.at(-1)!) * total) / together;
      totals[totals.length - 1] = together;
    }
  }
  return { starts, values: means };
}
