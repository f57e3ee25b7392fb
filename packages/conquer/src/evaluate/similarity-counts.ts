import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';

/** Bins of −1…1: 2e-6 each, a quantile to that without sorting pairs, of which there are too many for one operator. */
export const BINS = 2 ** 20;
/** Rows that are compared with all others at a time. */
const ROWS = 256;

/** The bin of a cosine. */
export const binOf = (cosine: number): number =>
  Math.min(BINS - 1, Math.max(0, Math.floor(((cosine + 1) / 2) * BINS)));
/** The lowest cosine of a bin; what is in it is at least that. */
export const edgeOf = (bin: number): number => (2 * bin) / BINS - 1;

/** How many pairs lie in each bin. */
export interface SimilarityCounts {
  /** (BINS,) of pairs of one class, and of two. */
  same: Float64Array;
  different: Float64Array;
}

/** Calls `visit` with each pair of rows once, and the bin of its cosine. @param rows (N, D) of length 1, on the CPU */
export function eachPair(
  rows: Tensor,
  visit: (first: number, second: number, bin: number) => void,
  stop?: StopCheck,
): void {
  const count = rows.size(0);
  for (let start = 0; start < count; start += ROWS) {
    checkStop(stop);
    const some = Math.min(ROWS, count - start);
    const width = count - start;
    const products = scope(() =>
      noGrad(
        () =>
          rows
            .narrow(0, start, some)
            .matmul(rows.narrow(0, start, width).t())
            .toTypedArray() as Float32Array,
      ),
    );
    for (let i = 0; i < some; i++)
      for (let j = i + 1; j < width; j++) visit(start + i, start + j, binOf(products[i * width + j]!));
  }
}

/** @param labels (N,) */
export function countSimilarities(rows: Tensor, labels: Int32Array, stop?: StopCheck): SimilarityCounts {
  const counts = { same: new Float64Array(BINS), different: new Float64Array(BINS) };
  eachPair(
    rows,
    (i, j, bin) => {
      const of = labels[i] === labels[j] ? counts.same : counts.different;
      of[bin]!++;
    },
    stop,
  );
  return counts;
}
