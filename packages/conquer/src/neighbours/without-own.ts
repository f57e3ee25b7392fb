import type { OwnInGallery } from '../own-in-gallery.js';
import type { Neighbours } from './neighbours.js';

/** How many images the search of one query leaves out at most: so many more are to be searched for. */
export function mostOwn(own: OwnInGallery): number {
  return [...own.values()].reduce((most, { length }) => Math.max(most, length), 0);
}

/**
 * Neighbours, of which `mostOwn` too many were searched for, without the queries' own images. Exact: what is nearest
 * among the others is nearest without the own.
 *
 * @param start the first of the queries
 * @param k neighbours wanted; where a query has fewer, −1 at an infinite distance fills its row
 */
export function withoutOwn(found: Neighbours, start: number, own: OwnInGallery, k: number): Neighbours {
  if (own.size === 0) return found;
  const width = Math.min(k, found.k);
  const count = found.k === 0 ? 0 : found.indices.length / found.k;
  const indices = new Int32Array(count * width).fill(-1);
  const distances = new Float32Array(count * width).fill(Number.POSITIVE_INFINITY);
  for (let row = 0; row < count; row++) {
    const left = own.get(start + row) ?? [];
    let rank = 0;
    for (let at = row * found.k; at < (row + 1) * found.k && rank < width; at++) {
      const position = found.indices[at] as number;
      if (left.includes(position)) continue;
      indices[row * width + rank] = position;
      distances[row * width + rank] = found.distances[at] as number;
      rank++;
    }
  }
  return { k: width, indices, distances };
}
