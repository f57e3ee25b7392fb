import { arange, noGrad, scope, type Tensor, tensor } from '@conquer/torch';

export interface MeanAveragePrecisionOptions {
  /** Search here instead of among the queries themselves. */
  gallery?: { embeddings: Tensor; labels: Int32Array };
  /** Queries at a time; by default as many as keep a block of distances within 4 million numbers. */
  blockSize?: number;
}

/** Numbers in a block of distances; ranking it needs some ten such blocks. */
const BLOCK_NUMBERS = 4 * 2 ** 20;

/**
 * Mean average precision by Euclidean distance, one value for each of `depths`: the mean over the queries of
 * 1/min(R, depth) Σ_{i ≤ depth} precision(i) · [neighbour i is of the class], R the images of the class to be found.
 * Depth Infinity ranks the whole gallery. A query with R = 0 counts as 0; MAP@R, whose depth is each query's own R,
 * is another function.
 *
 * Memory grows with the size of the gallery, time with queries × gallery: every block is sorted whole.
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @param relevant (N,) R of every query, see `countRelevant`; what it counts, such as the query itself, is divided by
 */
export function meanAveragePrecision(
  embeddings: Tensor,
  labels: Int32Array,
  relevant: Int32Array,
  depths: readonly number[],
  { gallery, blockSize }: MeanAveragePrecisionOptions = {},
): number[] {
  const size = gallery?.labels.length ?? labels.length;
  // A query is not its own neighbour.
  const width = gallery ? size : size - 1;
  const totals = depths.map(() => 0);
  if (width < 1) return totals;
  const rows = Math.max(1, blockSize ?? Math.floor(BLOCK_NUMBERS / size));
  scope(() =>
    noGrad(() => {
      const { device } = embeddings;
      const precise = embeddings.dtype === 'float64' ? 'float64' : 'float32';
      const all = (gallery?.embeddings ?? embeddings).detach().to({ dtype: precise });
      const mean = all.mean(0, true);
      const centred = all.sub(mean);
      const squares = centred.square().sum(1);
      const classOf = tensor(gallery?.labels ?? labels, { device });
      const ranks = arange(1, width + 1, 1, { dtype: precise, device });
      for (let start = 0; start < labels.length; start += rows) {
        const count = Math.min(rows, labels.length - start);
        scope(() => {
          const block = embeddings.detach().narrow(0, start, count).to({ dtype: precise }).sub(mean);
          // |g|² - 2 q·g orders as the distance does.
          const distances = squares.sub(block.matmul(centred.t()).mul_(2));
          if (!gallery) {
            const own = Int32Array.from({ length: count }, (_, row) => start + row);
            distances.scatter_(1, tensor(own, { dtype: 'int64', device }).unsqueeze(1), Infinity);
          }
          const order = distances.argsort(1).narrow(1, 0, width).reshape([-1]);
          const query = tensor(labels.subarray(start, start + count), { device }).unsqueeze(1);
          const hits = classOf.indexSelect(0, order).reshape([count, width]).eq(query).to(precise);
          const precisions = hits.cumsum(1).mul_(hits).div_(ranks);
          for (const [i, depth] of depths.entries()) {
            const sums = precisions.narrow(1, 0, Math.min(depth, width)).sum(1).toNumbers();
            sums.forEach((sum, row) => {
              const found = Math.min(relevant[start + row] as number, depth);
              if (found > 0) totals[i] = (totals[i] as number) + sum / found;
            });
          }
        });
      }
    }),
  );
  return totals.map((total) => total / labels.length);
}
