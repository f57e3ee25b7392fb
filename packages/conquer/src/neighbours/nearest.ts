import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { type RowData, rowsFrom } from '../row-data.js';
import { checkStop } from '../stop-check.js';
import { neighboursByBlocks } from './nearest-by-blocks.js';
import { neighboursByRows } from './nearest-by-rows.js';
import type { NearestOptions, NeighbourBlock, Neighbours } from './neighbours.js';
import { spaceOf } from './product-filter.js';

/**
 * The exact k nearest neighbours of every query by Euclidean distance, in memory that does not grow with the
 * number of queries times the size of the gallery: what sorting by the differences, summed in float64, gives, wherever
 * the rows lie and however large they are. The numbers are float64 if the queries are, else float32; both on one device.
 *
 * @param queries N rows of D numbers, see `RowData`
 * @param gallery M rows of D, or null: the queries are the gallery, and a query is not its own neighbour (by
 *   position: an equal image elsewhere is)
 * @param options with `dim`, D, where the numbers of the queries stand one row after the other
 * @throws TypeError for what is no rows
 * @throws RangeError if k is not a positive whole number, the shapes do not fit, or a number is NaN or infinite
 * @throws Interrupted after `stop`
 */
export function nearestNeighbours(
  queries: RowData,
  gallery: RowData | null,
  k: number,
  { dim, ...options }: NearestOptions & { dim?: number } = {},
): Neighbours {
  return scope(() => {
    const rows = rowsFrom('nearestNeighbours, queries', queries, { dim });
    const searched = gallery && rowsFrom('nearestNeighbours, gallery', gallery, { dim: rows.shape[1] });
    return allNeighbours(rows, searched, k, options);
  });
}

function allNeighbours(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  options: NearestOptions,
): Neighbours {
  const numQueries = queries.size(0);
  const width = clampedK(queries, gallery, k);
  const indices = new Int32Array(numQueries * width);
  const distances = new Float32Array(numQueries * width);
  eachNeighbourBlock(queries, gallery, k, options, (block) => {
    indices.set(block.indices, block.start * width);
    distances.set(block.distances, block.start * width);
  });
  return { k: width, indices, distances };
}

/** The same block by block, in order, for results that need not be kept whole. */
export function eachNeighbourBlock(
  queries: Tensor,
  gallery: Tensor | null,
  k: number,
  { blockSize, order, onProgress, stop }: NearestOptions,
  onBlock: (block: NeighbourBlock) => void,
): void {
  const width = clampedK(queries, gallery, k);
  if (width === 0) return;
  const dtype = queries.dtype === 'float64' ? 'float64' : 'float32';
  scope(() =>
    noGrad(() => {
      const all = (gallery ?? queries).detach().to({ dtype }).contiguous();
      const own = gallery === null;
      const queried = own ? all : queries.detach().to({ dtype }).contiguous();
      const space = spaceOf('nearest neighbours', all, own ? null : queried);
      checkStop(stop);
      const search = { queries: queried, all, space, own, stop };
      if (queries.device === 'cpu' && dtype === 'float32')
        neighboursByBlocks(search, width, { blockSize, order, onProgress }, onBlock);
      else
        neighboursByRows(search, width, blockSize, (block) => {
          onBlock(block);
          onProgress?.({ done: block.start + block.count, total: queries.size(0) });
        });
    }),
  );
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
