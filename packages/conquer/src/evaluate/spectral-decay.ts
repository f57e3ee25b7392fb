import { aten, noGrad, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { RowMetric } from './metric.js';

export interface SpectralDecayOptions {
  /**
   * Leave out so many of the largest singular values. Default 0; 1 is the Revisiting collection's
   * rho_spectrum@2.
   */
  skip?: number;
  /** KL(S‖U) instead of KL(U‖S). Default false; true is the collection's rho_spectrum@-1. */
  reverse?: boolean;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

/** Rows at a time in float64. */
const BLOCK_ROWS = 4096;
/** Singular values below this share of the largest count as it: the rounding of float32. */
const FLOOR = 2 ** -23;

/**
 * Spectral decay ρ (Roth, Milbich, Sinha, Gupta, Ommer, Cohen, "Revisiting training strategies and generalization
 * performance in deep metric learning", ICML 2020, section 5): the Kullback-Leibler divergence KL(U‖S) of the
 * singular values of the embeddings (N, D), scaled to sum 1, from equal ones. 0 where all directions are used alike;
 * the smaller, the less the embedding is compressed. It is finite: unused dimensions count as rounding errors.
 *
 * @throws RangeError if no singular value is left, or all are 0
 */
export function spectralDecay(
  embeddings: Tensor,
  { skip = 0, reverse = false, stop }: SpectralDecayOptions = {},
): number {
  const values = singularValues(embeddings, stop).subarray(skip);
  const largest = values[0] ?? 0;
  if (!(largest > 0)) {
    throw new RangeError(
      `spectral decay: expected embeddings other than 0 of more than ${skip} dimensions, got shape [${embeddings.shape}]`,
    );
  }
  const floored = values.map((value) => Math.max(value, FLOOR * largest));
  const total = floored.reduce((a, b) => a + b, 0);
  const uniform = 1 / floored.length;
  return floored.reduce((sum, value) => {
    const share = value / total;
    return sum + (reverse ? share * Math.log(share / uniform) : uniform * Math.log(uniform / share));
  }, 0);
}

/** The D singular values of (N, D), largest first, in float64: the roots of the eigenvalues of the (D, D) products. */
export function singularValues(embeddings: Tensor, stop?: StopCheck | undefined): Float64Array {
  return scope(() =>
    noGrad(() => {
      const [size, dim] = embeddings.shape as [number, number];
      const products = zeros([dim, dim], { dtype: 'float64', device: embeddings.device });
      for (let start = 0; start < size; start += BLOCK_ROWS) {
        checkStop(stop);
        scope(() => {
          const rows = embeddings
            .detach()
            .narrow(0, start, Math.min(BLOCK_ROWS, size - start))
            .to('float64');
          products.add_(rows.t().matmul(rows));
        });
      }
      // Ascending.
      const eigenvalues = aten.linalg_eigvalsh(products).toNumbers().reverse();
      return eigenvalues.map((value) => Math.sqrt(Math.max(0, value)));
    }),
  );
}

export const rho: RowMetric = {
  names: () => ['rho'],
  help: 'spectral decay: KL divergence of the scaled singular values of all embeddings from equal ones',
  shown: 'plain',
  when: 'all',
  chooses: false,
  of: 'rows',
  measure: (embeddings, _, __, stop) => [spectralDecay(embeddings, { stop })],
};
