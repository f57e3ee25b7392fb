import { twoSidedTail } from './standard-error.js';

/** Below so many queries that one finds and the other does not, the binomial is summed; above, χ² is near enough. */
const FEW = 25;

export interface McNemar {
  /** Queries that the first finds and the second does not. */
  onlyFirst: number;
  /** Queries that the second finds and the first does not. */
  onlySecond: number;
  /**
   * 'exact': the binomial of `onlyFirst + onlySecond` draws of 1/2, two-sided, where these are fewer than 25; else
   * 'chi-square', (|onlyFirst − onlySecond| − 1)² / (onlyFirst + onlySecond) of one degree of freedom, corrected for
   * continuity (Edwards 1948).
   */
  method: 'exact' | 'chi-square';
  /** Of 'chi-square'; null of 'exact'. */
  statistic: number | null;
  /** How likely so large a difference would be were both equally good; 1 where they differ on no query. */
  pValue: number;
}

/**
 * McNemar's test of whether two find equally many of the same queries (McNemar, "Note on the sampling error of the difference
 * between correlated proportions or percentages", Psychometrika 1947). It takes queries as drawn one by one: where those of one
 * class are alike, it is too sure, and the standard error over classes is what counts.
 *
 * @param first (N,) other than 0 where the first finds a query
 * @param second (N,) likewise
 * @throws RangeError where these are not equally many
 */
export function mcnemar(first: ArrayLike<number>, second: ArrayLike<number>): McNemar {
  if (first.length !== second.length)
    throw new RangeError(
      `mcnemar: expected as many results of both, got ${first.length} and ${second.length}`,
    );
  let [onlyFirst, onlySecond] = [0, 0];
  for (let query = 0; query < first.length; query++) {
    if (first[query] && !second[query]) onlyFirst++;
    if (second[query] && !first[query]) onlySecond++;
  }
  const count = onlyFirst + onlySecond;
  const test = { onlyFirst, onlySecond };
  if (count < FEW) {
    const pValue = Math.min(1, 2 * lowerTail(Math.min(onlyFirst, onlySecond), count));
    return { ...test, method: 'exact', statistic: null, pValue };
  }
  const statistic = Math.max(0, Math.abs(onlyFirst - onlySecond) - 1) ** 2 / count;
  return { ...test, method: 'chi-square', statistic, pValue: twoSidedTail(Math.sqrt(statistic)) };
}

/** The probability of at most `most` heads in `count` throws of a fair coin. */
function lowerTail(most: number, count: number): number {
  let [ways, sum] = [1, 0];
  for (let heads = 0; heads <= most; heads++) {
    sum += ways;
    ways = (ways * (count - heads)) / (heads + 1);
  }
  return sum / 2 ** count;
}
