import { F, noGrad, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import type { RowMetric } from './metric.js';

export interface ClassDistances {
  /**
   * Mean over the classes with two images of the mean cosine distance of their pairs, 0…2; null without such
   * a class.
   */
  intra: number | null;
  /** Mean cosine distance of the classes' centres, 0…2; null with one class. */
  inter: number | null;
}

/** Rows at a time in float64. */
const BLOCK_ROWS = 4096;
/** A norm below this is that of a row of zeros: rows of any scale have a direction. */
const SMALLEST = 1e-150;

/**
 * How compact and how far apart classes lie (Roth et al., "Revisiting training strategies and generalization
 * performance in deep metric learning", ICML 2020, section 5): mean cosine distances 1 - cos within the classes and
 * between their centres, the means of the normalised embeddings. Their ratio is the paper's π_ratio. From sums of
 * vectors, so without the pairs: Σ_{i ≠ j} x_i·x_j = |Σ x_i|² - Σ |x_i|².
 *
 * @param embeddings (N, D)
 * @param labels (N,)
 * @param stop ends the work, with Interrupted
 */
export function classDistances(
  embeddings: Tensor,
  labels: Int32Array,
  stop?: StopCheck | undefined,
): ClassDistances {
  const index = new Map<number, number>();
  const sizes: number[] = [];
  const classOf = labels.map((label) => {
    const at = index.get(label) ?? index.size;
    index.set(label, at);
    sizes[at] = (sizes[at] ?? 0) + 1;
    return at;
  });
  const { sums, crossed } = scope(() =>
    noGrad(() => {
      const { device } = embeddings;
      const centres = zeros([sizes.length, embeddings.size(1)], { dtype: 'float64', device });
      for (let start = 0; start < labels.length; start += BLOCK_ROWS) {
        checkStop(stop);
        scope(() => {
          const count = Math.min(BLOCK_ROWS, labels.length - start);
          const rows = F.normalize(embeddings.detach().narrow(0, start, count).to('float64'), {
            eps: SMALLEST,
          });
          const of = tensor(classOf.subarray(start, start + count), { dtype: 'int64', device });
          centres.indexAdd_(0, of, rows);
        });
      }
      // A centre without a length, but for rounding, has no direction: it is at distance 1 from all.
      const directions = F.normalize(centres, { eps: 1e-6 });
      const crossed = directions.sum(0).square().sum().sub(directions.square().sum()).item();
      return { sums: centres.square().sum(1).toNumbers(), crossed };
    }),
  );
  // Rows have length 1, so that Σ |x_i|² is their number.
  const within = Array.from(sums, (sum, c) => ({ sum, size: sizes[c] as number })).filter(
    ({ size }) => size > 1,
  );
  const intra = within.reduce((mean, { sum, size }) => {
    return mean + (1 - (sum - size) / (size * (size - 1))) / within.length;
  }, 0);
  const k = sizes.length;
  return {
    intra: within.length > 0 ? intra : null,
    inter: k > 1 ? 1 - crossed / (k * (k - 1)) : null,
  };
}

export const classDistance: RowMetric = {
  names: () => ['intra', 'inter'],
  help: "mean cosine distance within classes, and between the classes' centres; their ratio is the paper's π_ratio",
  shown: 'plain',
  when: 'all',
  chooses: false,
  of: 'rows',
  measure(embeddings, labels, _, stop) {
    const { intra, inter } = classDistances(embeddings, labels, stop);
    return [intra, inter];
  },
};
