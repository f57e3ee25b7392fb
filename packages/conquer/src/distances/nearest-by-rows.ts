import { aten, noGrad, scope, type Tensor, tensor } from '@conquer/torch';
import type { NeighbourBlock } from './nearest.js';
import {
  BLOCK_NUMBERS,
  type Candidate,
  exactDistances,
  roundingError,
  type Search,
  SLACK,
  settleTies,
  sortCandidates,
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
  const rows = Math.max(1, blockSize ?? Math.floor(BLOCK_NUMBERS / all.size(0)));
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
 * the differences, which is accurate for near ones and the same for equal ones, and order them.
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
  const candidates = nearest.indices;
  const values = nearest.values.toNumbers();
  const distances = exactDistances(block, all, candidates).toNumbers();
  const positions = candidates.toNumbers();
  const largest = squares.max().item() + centredBlock.mul(centredBlock).sum(1).max().item();
  const tolerance = largest * roundingError(all.dtype);

  const result = { indices: new Int32Array(count * k), distances: new Float32Array(count * k) };
  for (let row = 0; row < count; row++) {
    let found = sortCandidates(
      positions.subarray(row * width, (row + 1) * width),
      distances.subarray(row * width, (row + 1) * width),
    );
    const threshold = (values[row * width + k - 1] as number) + tolerance;
    if (width < available && (values[(row + 1) * width - 1] as number) <= threshold) {
      found = settleTies(rounded.narrow(0, row, 1), block.narrow(0, row, 1), all, tolerance, k);
    }
    for (let rank = 0; rank < k; rank++) {
      const candidate = found[rank] as Candidate;
      result.indices[row * k + rank] = candidate.position;
      result.distances[row * k + rank] = Math.sqrt(candidate.square);
    }
  }
  return result;
}
