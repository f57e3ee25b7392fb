import { aten, noGrad, scope, type Tensor, tensor } from '@conquer/torch';
import type { NeighbourBlock } from './nearest.js';
import {
  blockNumbers,
  type Candidate,
  exactDistances,
  roundingError,
  type Search,
  SLACK,
  settleTies,
} from './nearest-candidates.js';

/**
 * Nearest neighbours on any device and in any precision: the distances of some queries to all, and their k smallest.
 */
export function* neighboursByRows(
  search: Search,
  k: number,
  blockSize: number | undefined,
): Generator<NeighbourBlock, void, undefined> {
  const { queries, all, mean } = search;
  const numQueries = queries.size(0);
  const rows = Math.max(1, blockSize ?? Math.floor(blockNumbers(all.device) / all.size(0)));
  const { centred, squares } = scope(() =>
    noGrad(() => {
      const centred = all.sub(mean);
      return { centred: centred.keep(), squares: centred.norm(2, 1).square().keep() };
    }),
  );
  try {
    for (let start = 0; start < numQueries; start += rows) {
      const count = Math.min(rows, numQueries - start);
      yield scope(() =>
        noGrad(() => {
          const found = searchBlock(search, centred, squares, queries.narrow(0, start, count), k, start);
          return { start, count, k, ...found };
        }),
      );
    }
  } finally {
    centred.dispose();
    squares.dispose();
  }
}

/**
 * One block of queries (B, D) against all (M, D). A matrix product gives every squared distance up to rounding,
 * |q|² left out; the k nearest by it and a few more are candidates. Their distances are then computed anew from
 * the differences, which is accurate for near ones and the same for equal ones, and order them. All of it happens on
 * the device; the k of each row that are found are what leaves it.
 *
 * @param centred (M, D), all - mean
 * @param squares (M,), the squared norms of `centred`
 * @param start the position of the first query
 */
function searchBlock(
  { all, mean, own }: Search,
  centred: Tensor,
  squares: Tensor,
  block: Tensor,
  k: number,
  start: number,
): Pick<NeighbourBlock, 'indices' | 'distances'> {
  const count = block.size(0);
  const size = all.size(0);
  const centredBlock = block.sub(mean);
  const rounded = aten.addmm(squares, centredBlock, centred.t(), 1, -2);
  if (own) {
    const positions = Int32Array.from({ length: count }, (_, row) => start + row);
    const index = tensor(positions, { dtype: 'int64', device: block.device });
    rounded.scatter_(1, index.reshape([count, 1]), Infinity);
  }
  const available = size - (own ? 1 : 0);
  const width = Math.min(k + SLACK, available);
  const nearest = rounded.topk(width, { dim: 1, largest: false });
  // By position first: the second sort is stable, so that equally near ones stay in that order.
  const candidates = nearest.indices.sort(1).values;
  const [squared, order] = aten.sort$stable(exactDistances(block, all, candidates), true, 1, false);
  const result = {
    indices: candidates
      .gather(1, order.narrow(1, 0, k))
      .to('int32')
      .toTypedArray() as Int32Array,
    distances: squared.narrow(1, 0, k).sqrt().to('float32').toTypedArray() as Float32Array,
  };
  if (width === available) return result;

  // Rows with more candidates within rounding of the k-th than were kept.
  const largest = squares.max().add(centredBlock.square().sum(1).max());
  const tolerance = largest.mul(roundingError(all.dtype));
  const { values } = nearest;
  const crowded = values.select(1, width - 1).le(values.select(1, k - 1).add(tolerance));
  for (const [row, tied] of crowded.toNumbers().entries()) {
    if (!tied) continue;
    const own = [rounded, block].map((of) => of.narrow(0, row, 1)) as [Tensor, Tensor];
    const found = settleTies(...own, all, tolerance.item(), k);
    for (let rank = 0; rank < k; rank++) {
      const candidate = found[rank] as Candidate;
      result.indices[row * k + rank] = candidate.position;
      result.distances[row * k + rank] = Math.sqrt(candidate.square);
    }
  }
  return result;
}
