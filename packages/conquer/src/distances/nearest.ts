import { aten, noGrad, scope, type Tensor, tensor } from '@conquer/torch';

export interface NearestOptions {
  /** Queries at a time; by default as many as keep a block of distances within 16 million numbers. */
  blockSize?: number;
}

export interface Neighbours {
  /** How many neighbours each query has: k, or fewer if the gallery is smaller. */
  k: number;
  /** (N × k) row-major, positions in the gallery, nearest first; of equally near ones the lower first. */
  indices: Int32Array;
  /** (N × k), Euclidean. */
  distances: Float32Array;
}

/** The neighbours of the queries start, start + 1, … */
export interface NeighbourBlock extends Neighbours {
  start: number;
  count: number;
}

/** Numbers in the largest temporary: 64 MB in float32. */
const BLOCK_NUMBERS = 16 * 2 ** 20;
/** Candidates beyond k. More equally near ones than this are looked up one query at a time. */
const SLACK = 16;
/** Among more equally near ones than this the order is that of the rounded distances. */
const MOST_TIES = 1024;

/**
 * The exact k nearest neighbours of every query by Euclidean distance, in memory that does not grow with
 * the number of queries times the size of the gallery.
 *
 * @param queries (N, D)
 * @param gallery (M, D), or null: the queries are the gallery, and a query is not its own neighbour
 *   (by position: an equal image elsewhere is)
 * @throws RangeError if k < 1 or the widths differ
 */
export function nearestNeighbours(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions = {},
): Neighbours {
  const numQueries = queries.size(0);
  const width = clampedK(queries, gallery, k);
  const indices = new Int32Array(numQueries * width);
  const distances = new Float32Array(numQueries * width);
  for (const block of nearestNeighbourBlocks(queries, gallery, k, options)) {
    indices.set(block.indices, block.start * width);
    distances.set(block.distances, block.start * width);
  }
  return { k: width, indices, distances };
}

/** The same, block by block, for results that need not be kept whole. */
export function* nearestNeighbourBlocks(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  { blockSize }: NearestOptions = {},
): Generator<NeighbourBlock, void, undefined> {
  const numQueries = queries.size(0);
  const width = clampedK(queries, gallery, k);
  const galleryOrQueries = gallery ?? queries;
  const size = galleryOrQueries.size(0);
  const rows = Math.max(1, blockSize ?? Math.floor(BLOCK_NUMBERS / Math.max(1, size)));
  const precise = queries.dtype === 'float64' ? 'float64' : 'float32';
  // Kept out of the caller's scopes, which may change between two blocks.
  const search = scope(() =>
    noGrad(() => {
      const all = galleryOrQueries.detach().to({ dtype: precise });
      // Distances do not change when everything moves, but the rounding of the products is relative to the norms.
      const mean = all.mean(0, true);
      const centred = all.sub(mean);
      const squares = centred.norm(2, 1).square();
      return { all: all.keep(), mean: mean.keep(), centred: centred.keep(), squares: squares.keep() };
    }),
  );
  try {
    for (let start = 0; start < numQueries && width > 0; start += rows) {
      const count = Math.min(rows, numQueries - start);
      yield scope(() =>
        noGrad(() => {
          const block = queries.detach().narrow(0, start, count).to({ dtype: precise });
          const own = gallery === null ? start : null;
          return { start, count, k: width, ...searchBlock(block, search, width, own) };
        }),
      );
    }
  } finally {
    for (const held of Object.values(search)) held.dispose();
  }
}

function clampedK(queries: Tensor, gallery: Tensor | null, k: number): number {
  if (queries.ndim !== 2 || (gallery && (gallery.ndim !== 2 || gallery.size(1) !== queries.size(1)))) {
    throw new RangeError(
      `nearest neighbours: expected queries (N, D) and a gallery (M, D), got shapes [${queries.shape}] and ` +
        `${gallery ? `[${gallery.shape}]` : 'none'}`,
    );
  }
  if (!Number.isInteger(k) || k < 1) {
    throw new RangeError(`nearest neighbours: expected a positive integer k, got ${k}`);
  }
  return Math.min(k, gallery ? gallery.size(0) : queries.size(0) - 1);
}

interface Gallery {
  /** (M, D) */
  all: Tensor;
  /** (1, D) */
  mean: Tensor;
  /** (M, D), all - mean */
  centred: Tensor;
  /** (M,), the squared norms of `centred` */
  squares: Tensor;
}

/**
 * One block of queries (B, D) against all (M, D). A matrix product gives every squared distance up to rounding,
 * |q|² left out; the k nearest by it and a few more are candidates. Their distances are then computed anew from
 * the differences, which is accurate for near ones and the same for equal ones, and order them.
 *
 * @param own the position in the gallery of the first query, or null if the queries are not in it
 */
function searchBlock(
  block: Tensor,
  { all, mean, centred, squares }: Gallery,
  k: number,
  own: number | null,
): Pick<Neighbours, 'indices' | 'distances'> {
  const count = block.size(0);
  const size = all.size(0);
  const centredBlock = block.sub(mean);
  const rounded = aten.addmm(squares, centredBlock, centred.t(), 1, -2);
  if (own !== null) {
    const positions = Int32Array.from({ length: count }, (_, row) => own + row);
    const index = tensor(positions, { dtype: 'int64', device: block.device });
    rounded.scatter_(1, index.reshape([count, 1]), Infinity);
  }
  const width = Math.min(k + SLACK, size - (own === null ? 0 : 1));
  const nearest = rounded.topk(width, { dim: 1, largest: false });
  const candidates = nearest.indices;
  const values = nearest.values.toNumbers();
  const distances = exactDistances(block, all, candidates).toNumbers();
  const positions = candidates.toNumbers();
  // By how much the rounding of a dot product may misorder: relative to the squared norms.
  const largest = squares.max().item() + centredBlock.mul(centredBlock).sum(1).max().item();
  const tolerance = largest * (all.dtype === 'float64' ? 1e-14 : 4e-6);

  const result = { indices: new Int32Array(count * k), distances: new Float32Array(count * k) };
  for (let row = 0; row < count; row++) {
    let found = sortCandidates(
      positions.subarray(row * width, (row + 1) * width),
      distances.subarray(row * width, (row + 1) * width),
    );
    const threshold = (values[row * width + k - 1] as number) + tolerance;
    if (width < size - 1 && (values[(row + 1) * width - 1] as number) <= threshold) {
      found = scope(() => settleTies(rounded.narrow(0, row, 1), block.narrow(0, row, 1), all, threshold, k));
    }
    for (let rank = 0; rank < k; rank++) {
      const candidate = found[rank] as Candidate;
      result.indices[row * k + rank] = candidate.position;
      result.distances[row * k + rank] = Math.sqrt(candidate.square);
    }
  }
  return result;
}

interface Candidate {
  position: number;
  square: number;
}

function sortCandidates(positions: Float64Array, squares: Float64Array): Candidate[] {
  return Array.from(positions, (position, i) => ({ position, square: squares[i] as number })).sort(
    (a, b) => a.square - b.square || a.position - b.position,
  );
}

/** One query (1, D) with more candidates as near as its k-th than were kept: all of them are looked at. */
function settleTies(rounded: Tensor, query: Tensor, all: Tensor, threshold: number, k: number): Candidate[] {
  const near = rounded.le(threshold).sum().item();
  const width = Math.min(near, Math.max(MOST_TIES, k));
  const sorted = aten.sort$stable(rounded, true, 1, false)[1].narrow(1, 0, width);
  return sortCandidates(sorted.toNumbers(), exactDistances(query, all, sorted).toNumbers());
}

/** Σ (q - g)² for the candidates (B, C) of each query of (B, D) → (B, C). */
function exactDistances(block: Tensor, all: Tensor, candidates: Tensor): Tensor {
  const [count, width] = candidates.shape as [number, number];
  const dimensions = all.size(1);
  const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / (width * dimensions)));
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
