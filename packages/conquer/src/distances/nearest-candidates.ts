import { aten, scope, type Tensor } from '@conquer/torch';

/** What a search looks at; of one dtype, on one device. */
export interface Search {
  /** (N, D) */
  queries: Tensor;
  /** (M, D) */
  all: Tensor;
  /** (1, D), of `all` */
  mean: Tensor;
  /** `queries` is `all`, and a query is not its own neighbour. */
  own: boolean;
}

/** Numbers in the largest temporary: 64 MB in float32; on a card, whose kernels take long to start, 512 MB. */
export const blockNumbers = (device: string) => (device === 'cpu' ? 16 : 128) * 2 ** 20;
/** Candidates beyond k. More equally near ones than this are looked up one query at a time. */
export const SLACK = 16;
/** Among more equally near ones than this the order is that of the rounded distances. */
const MOST_TIES = 1024;

/** By how much the rounding of a dot product may misorder squared distances: relative to the squared norms. */
export function roundingError(dtype: Tensor['dtype']): number {
  return dtype === 'float64' ? 1e-14 : 4e-6;
}

export interface Candidate {
  position: number;
  square: number;
}

function sortCandidates(positions: ArrayLike<number>, squares: ArrayLike<number>): Candidate[] {
  return Array.from(positions, (position, i) => ({ position, square: squares[i] as number })).sort(
    (a, b) => a.square - b.square || a.position - b.position,
  );
}

/**
 * One query (1, D) with more candidates as near as its k-th than were kept: all of them are looked at.
 *
 * @param rounded (1, M), squared distances up to rounding and a constant
 * @param tolerance see `roundingError`
 */
export function settleTies(
  rounded: Tensor,
  query: Tensor,
  all: Tensor,
  tolerance: number,
  k: number,
): Candidate[] {
  return scope(() => {
    const [values, order] = aten.sort$stable(rounded, true, 1, false);
    const threshold = values.select(1, k - 1).item() + tolerance;
    const near = rounded.le(threshold).sum().item();
    const nearest = order.narrow(1, 0, Math.min(near, Math.max(MOST_TIES, k)));
    return sortCandidates(nearest.toNumbers(), exactDistances(query, all, nearest).toNumbers());
  });
}

/** Σ (q - g)² for the candidates (B, C) of each query of (B, D) → (B, C). */
export function exactDistances(block: Tensor, all: Tensor, candidates: Tensor): Tensor {
  const [count, width] = candidates.shape as [number, number];
  const dimensions = all.size(1);
  const rows = Math.max(1, Math.floor(blockNumbers(all.device) / (width * dimensions)));
  const result = aten.empty_like(candidates, all.dtype);
  for (let start = 0; start < count; start += rows) {
    const some = Math.min(rows, count - start);
    scope(() => {
      const index = candidates.narrow(0, start, some).reshape([some * width]);
      const differences = all
        .indexSelect(0, index)
        .reshape([some, width, dimensions])
        .sub_(block.narrow(0, start, some).unsqueeze(1));
      result.narrow(0, start, some).copy_(differences.mul_(differences).sum(2));
    });
  }
  return result;
}
