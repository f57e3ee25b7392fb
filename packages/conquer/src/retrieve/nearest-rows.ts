import type { Tensor } from '@conquer-dml/torch';
import type { IndexSegment } from './index-segment.js';

/** A row that was found. */
export interface FoundRow {
  segment: IndexSegment;
  /** Of its item in the segment. */
  place: number;
  /** Of the row among the item's images. */
  image: number;
  /** Cosine, −1…1: 1 for the same. */
  similarity: number;
}

/** The one way from distances between rows of length 1 to similarities: exactly 1 for equal rows, and never outside of −1…1. */
export const similarityOf = (distance: number): number => Math.max(-1, 1 - (distance * distance) / 2);

/** Rows beyond k that are looked at where items have several. */
const MORE = 16;

export interface NearestRowsOptions {
  /** 'item': of each item its nearest row alone. */
  per: 'item' | 'image';
  /** By their graphs, where segments have one. */
  approximate: boolean;
}

/**
 * The nearest rows of each query among those of some segments; of equally near ones those that were added first.
 * @param queries (Q, D) of length 1
 */
export function nearestRows(
  segments: readonly IndexSegment[],
  queries: Tensor,
  k: number,
  { per, approximate }: NearestRowsOptions,
): FoundRow[][] {
  const all = segments.reduce((sum, { rowCount }) => sum + rowCount, 0);
  const single = segments.every(({ rowCount, count }) => rowCount === count);
  if (per === 'image' || single) return joined(segments, queries, k, approximate);
  const items = segments.reduce((sum, { count }) => sum + count, 0);
  for (let width = k + MORE; ; width *= 4) {
    const found = joined(segments, queries, Math.min(width, all), approximate).map(firstOfItems);
    const least = Math.min(k, items);
    if (width >= all || found.every(({ length }) => length >= least))
      return found.map((rows) => rows.slice(0, k));
  }
}

function joined(
  segments: readonly IndexSegment[],
  queries: Tensor,
  k: number,
  approximate: boolean,
): FoundRow[][] {
  const count = queries.size(0);
  const parts = segments
    .filter(({ rowCount }) => rowCount > 0)
    .map((segment) => ({ segment, ...segment.nearest(queries, k, approximate) }));
  return Array.from({ length: count }, (_, query) => {
    const next = parts.map(() => 0);
    const rows: FoundRow[] = [];
    while (rows.length < k) {
      let best = -1;
      let least = Number.POSITIVE_INFINITY;
      for (const [at, part] of parts.entries()) {
        if (next[at]! >= part.k) continue;
        // Infinite where a graph found no more.
        const distance = part.distances[query * part.k + next[at]!]!;
        if (distance < least) [best, least] = [at, distance];
      }
      if (best < 0) break;
      const { segment, indices, k: width } = parts[best]!;
      const row = indices[query * width + next[best]!]!;
      next[best]!++;
      const place = segment.table.placeOfRow(row);
      rows.push({
        segment,
        place,
        image: row - segment.table.firstRow(place),
        similarity: similarityOf(least),
      });
    }
    return rows;
  });
}

/** Of each item its first row alone. */
export function firstOfItems(rows: readonly FoundRow[]): FoundRow[] {
  const seen = new Map<IndexSegment, Set<number>>();
  return rows.filter(({ segment, place }) => {
    const places = seen.get(segment) ?? new Set();
    seen.set(segment, places);
    if (places.has(place)) return false;
    places.add(place);
    return true;
  });
}
