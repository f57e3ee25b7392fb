import type { Tensor } from '@conquer-dml/torch';
import { precisionsWithin } from './hits-within.js';
import { eachRanking } from './rankings.js';
import type { Search } from './search.js';

/** By default, as many queries at a time as keep a block of distances within 4 million numbers. */
export type MeanAveragePrecisionOptions = Search;

/**
 * Mean average precision by Euclidean distance, one value for each of `depths`: the mean over the queries of
 * 1/min(R, depth) Σ_{i ≤ depth} precision(i) · [neighbour i is of the class], R the images of the class to be
 * found. Depth Infinity ranks the whole gallery. A query with R = 0 counts as 0. Of equally near images the lower one in the
 * gallery comes first. (MAP@R, whose depth is each query's own R, is a metric of `evaluateEmbeddings`.)
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @param relevant (N,) R of every query, see `countRelevant`
 * @param depths positive whole numbers or Infinity
 * @returns a value in 0…1 for each depth
 */
export function meanAveragePrecision(
  embeddings: Tensor,
  labels: Int32Array,
  relevant: Int32Array,
  depths: readonly number[],
  search: MeanAveragePrecisionOptions = {},
): number[] {
  const totals = depths.map(() => 0);
  eachRanking(embeddings, labels, search, (query, ranks) => {
    for (const [i, depth] of depths.entries()) {
      const found = Math.min(relevant[query]!, depth);
      if (found > 0) totals[i]! += precisionsWithin(ranks, depth) / found;
    }
  });
  return totals.map((total) => total / labels.length);
}
