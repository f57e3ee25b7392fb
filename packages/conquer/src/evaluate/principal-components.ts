import { aten, noGrad, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { RowMetric } from './metric.js';

/** Rows at a time in float64. */
const BLOCK_ROWS = 4096;

/**
 * How many of the dimensions are used: (1 + the leading principal components that together hold no more than a share
 * of the variance) / D. Low: the embedding lies in few directions.
 *
 * @param embeddings (N, D)
 * @param shares 0…1
 * @returns one for each share; null of embeddings without variance
 */
export function principalComponentShares(
  embeddings: Tensor,
  shares: readonly number[],
  stop?: StopCheck | undefined,
): (number | null)[] {
  const variances = scope(() =>
    noGrad(() => {
      const [size, dim] = embeddings.shape as [number, number];
      const products = zeros([dim, dim], { dtype: 'float64', device: embeddings.device });
      const mean = embeddings.detach().to({ dtype: 'float64' }).mean(0);
      for (let start = 0; start < size; start += BLOCK_ROWS) {
        checkStop(stop);
        scope(() => {
          const count = Math.min(BLOCK_ROWS, size - start);
          const rows = embeddings.detach().narrow(0, start, count).to({ dtype: 'float64' }).sub(mean);
          products.add_(rows.t().matmul(rows));
        });
      }
      return aten.linalg_eigvalsh(products).toNumbers().reverse();
    }),
  ).map((variance) => Math.max(0, variance));
  const total = variances.reduce((a, b) => a + b, 0);
  if (!(total > 0)) return shares.map(() => null);
  return shares.map((share) => {
    let [sum, count] = [0, 0];
    while (count < variances.length && (sum + variances[count]!) / total <= share) sum += variances[count++]!;
    return Math.min(1, (1 + count) / variances.length);
  });
}

export const principalComponents: RowMetric = {
  names: (shares) => shares.map((share) => `PCF@${share}`),
  at: [0.5, 0.9, 0.99],
  help: '(1 + the leading principal components that together hold no more than this share of the variance) / D',
  divisor: 'D',
  others: 'OML pcf',
  shown: 'plain',
  when: 'named',
  chooses: false,
  of: 'rows',
  measure: (embeddings, _, shares, stop) => principalComponentShares(embeddings, shares, stop),
};
