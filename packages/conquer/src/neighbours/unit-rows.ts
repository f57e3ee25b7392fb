import type { Tensor } from '@conquer-dml/torch';

/**
 * Rows over their lengths: the order of their Euclidean distances is that of their cosine similarities.
 *
 * @param rows (N, D) of finite numbers
 * @param what whose rows they are and `nameOf` one of them, for messages
 * @returns (N, D); it belongs to the innermost open scope(), or else to the caller
 * @throws RangeError for a row of zeros, which has no direction
 */
export function unitRows(what: string, rows: Tensor, nameOf: (row: number) => string): Tensor {
  // By the largest number first, as squares of large ones overflow and of small ones vanish.
  const most = rows.abs().amax(1, true);
  const zero = most.toNumbers().indexOf(0);
  if (zero >= 0) throw new RangeError(`${what} by cosine: ${nameOf(zero)} is zero`);
  const scaled = rows.div(most);
  return scaled.div(scaled.norm(2, 1, true));
}
