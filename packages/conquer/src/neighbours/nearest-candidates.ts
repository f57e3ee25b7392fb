import { aten, cat, scope, type Tensor } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import { type Space, sumOfSquares } from './product-filter.js';

/** What a search looks at; of one dtype, float32 or float64, on one device. */
export interface Search {
  /** (N, D) */
  queries: Tensor;
  /** (M, D) */
  all: Tensor;
  space: Space;
  /** `queries` is `all`, and a query is not its own neighbour. */
  own: boolean;
  /** Ends it, with Interrupted. */
  stop?: StopCheck | undefined;
}

/** Numbers in the largest temporary: 64 MB in float32; on a card, whose kernels take long to start, 512 MB. */
export const blockNumbers = (device: string) => (device === 'cpu' ? 16 : 128) * 2 ** 20;
/** Numbers whose differences are taken at a time on the CPU, whose cache can hold them. */
const EXACT_NUMBERS = 2 ** 18;
/** Of one row, to many. */
const PIECE_NUMBERS = 2 ** 21;
/** Candidates beyond k. More equally near ones than this are looked up one query at a time. */
export const SLACK = 16;

/**
 * Σ (q - g)² in float64, from the differences of the scaled numbers.
 *
 * @param block (B, D)
 * @param all (M, D)
 * @param candidates (B, C) positions in `all`
 * @returns (B, C)
 */
export function exactSquares(
  block: Tensor,
  all: Tensor,
  candidates: Tensor,
  scale: number,
  stop?: StopCheck | undefined,
): Tensor {
  const [count, width] = candidates.shape as [number, number];
  const dimensions = all.size(1);
  const numbers = all.device === 'cpu' ? EXACT_NUMBERS : blockNumbers(all.device) / 2;
  const rows = Math.max(1, Math.floor(numbers / (width * dimensions)));
  const result = aten.empty_like(candidates, 'float64');
  for (let start = 0; start < count; start += rows) {
    checkStop(stop);
    const some = Math.min(rows, count - start);
    scope(() => {
      const index = candidates.narrow(0, start, some).reshape([some * width]);
      const found = all.indexSelect(0, index).reshape([some, width, dimensions]);
      result
        .narrow(0, start, some)
        .copy_(squaredGaps(block.narrow(0, start, some).unsqueeze(1), found, scale));
    });
  }
  return result;
}

/** Σ (a - b)² in float64, see `sumOfSquares`, over the last dimension of two tensors that fit each other by broadcasting. */
export function squaredGaps(a: Tensor, b: Tensor, scale: number): Tensor {
  return scope(() => {
    const gaps = b.to({ dtype: 'float64' }).sub(a).mul_(scale);
    return sumOfSquares(gaps);
  });
}

/** The same of one row (1, D) to all of (M, D), in pieces: (M,). */
export function squaredGapsToAll(
  row: Tensor,
  all: Tensor,
  scale: number,
  stop?: StopCheck | undefined,
): Tensor {
  const numbers = all.device === 'cpu' ? PIECE_NUMBERS : blockNumbers(all.device) / 2;
  const rows = Math.max(1, Math.floor(numbers / all.size(1)));
  return scope(() => {
    const pieces: Tensor[] = [];
    for (let start = 0; start < all.size(0); start += rows) {
      checkStop(stop);
      pieces.push(squaredGaps(row, all.narrow(0, start, Math.min(rows, all.size(0) - start)), scale));
    }
    return cat(pieces, 0);
  });
}
