import { noGrad, scope, type Tensor } from '@conquer/torch';
import { neighboursByBlocks } from './nearest-by-blocks.js';
import { neighboursByRows } from './nearest-by-rows.js';
import type { NearestOptions, NeighbourBlock, Neighbours } from './neighbours.js';
import { spaceOf } from './product-filter.js';
import { inOneGo, type Steps } from './steps.js';

/**
 * The exact k nearest neighbours of every query by Euclidean distance, in memory that does not grow with the
 * number of queries times the size of the gallery: what sorting by the differences, summed in float64, gives, wherever
 * the rows lie and however large they are. The numbers are float64 if the queries are, else float32; both on one device.
 *
 * @param queries (N, D)
 * @param gallery (M, D), or null: the queries are the gallery, and a query is not its own neighbour (by
 *   position: an equal image elsewhere is)
 * @throws RangeError if k is not a positive whole number, the shapes do not fit, or a number is NaN or infinite
 */
export function nearestNeighbours(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions = {},
): Neighbours {
  return inOneGo(allNeighbours(queries, gallery, k, options));
}

/** The same in steps. */
export function* allNeighbours(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions = {},
): Steps<Neighbours> {
  const numQueries = queries.size(0);
  const width = clampedK(queries, gallery, k);
  const indices = new Int32Array(numQueries * width);
  const distances = new Float32Array(numQueries * width);
  const collect = (block: NeighbourBlock) => {
    indices.set(block.indices, block.start * width);
    distances.set(block.distances, block.start * width);
  };
  yield* nearestNeighbourSteps(queries, gallery, k, options, collect);
  return { k: width, indices, distances };
}

/** Block by block, for results that need not be kept whole. */
export function* nearestNeighbourBlocks(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions = {},
): Generator<NeighbourBlock, void, undefined> {
  for (const block of search(queries, gallery, k, options)) if (block !== null) yield block;
}

/** The same in steps, each of a second or so at most: `onBlock` is called for block after block. */
export function* nearestNeighbourSteps(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions,
  onBlock: (block: NeighbourBlock) => void,
): Steps<void> {
  for (const block of search(queries, gallery, k, options)) {
    if (block !== null) onBlock(block);
    yield;
  }
}

function* search(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  { blockSize, order }: NearestOptions,
): Generator<NeighbourBlock | null, void, undefined> {
  const width = clampedK(queries, gallery, k);
  if (width === 0) return;
  const precise = queries.dtype === 'float64' ? 'float64' : 'float32';
  const galleryOrQueries = gallery ?? queries;
  // Kept out of the caller's scopes, which may change between two blocks.
  const searched = scope(() =>
    noGrad(() => {
      const all = galleryOrQueries.detach().to({ dtype: precise }).contiguous();
      const own = gallery === null;
      const queried = own ? all : queries.detach().to({ dtype: precise }).contiguous();
      const { scale, mean } = spaceOf('nearest neighbours', all, own ? null : queried);
      return { queries: queried.keep(), all: all.keep(), space: { scale, mean: mean.keep() }, own };
    }),
  );
  try {
    const onCpu = queries.device === 'cpu' && precise === 'float32';
    yield* onCpu
      ? neighboursByBlocks(searched, width, blockSize, order)
      : neighboursByRows(searched, width, blockSize);
  } finally {
    for (const held of [searched.queries, searched.all, searched.space.mean]) held.dispose();
  }
}

/** k, or how many neighbours there are. @throws RangeError where the shapes do not fit or k is no positive whole number */
export function clampedK(queries: Tensor, gallery: Tensor | null, k: number): number {
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
