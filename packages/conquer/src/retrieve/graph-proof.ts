import type { Neighbours } from '../neighbours/neighbours.js';

/** Queries as they come: rows that the graph does not hold while it is asked for them. Of few rows a quarter at most. */
export function heldOut(places: Int32Array, count: number) {
  const some = Math.max(1, Math.min(count, places.length >> 2));
  const step = places.length / some;
  const held = Int32Array.from({ length: some }, (_, i) => places[Math.floor(i * step)]!);
  const isHeld = new Set(held);
  const others = places.filter((place) => !isHeld.has(place));
  // Of a single row.
  return { held, others: others.length > 0 ? others : held };
}

/** The distance of the k-th nearest of each query that is not held out; of fewer, of the last. */
export function nearestWithout(
  { k: width, indices, distances }: Neighbours,
  k: number,
  held: ReadonlySet<number>,
) {
  return Array.from({ length: indices.length / width }, (_, query) => {
    const left = distances
      .subarray(query * width, (query + 1) * width)
      .filter((_, at) => !held.has(indices[query * width + at]!));
    return { count: Math.min(k, left.length), last: left[Math.min(k, left.length) - 1] ?? 0 };
  });
}

/** The share of the nearest that was found, and its standard error over the queries. */
export function shareFound(found: Neighbours, exact: readonly { count: number; last: number }[]) {
  const shares = exact.flatMap(({ count, last }, query) => {
    const distances = found.distances.subarray(query * found.k, query * found.k + count);
    // By distance: of many copies of a row any will do.
    const same = distances.filter((distance) => distance <= last * (1 + 1e-6)).length;
    return count === 0 ? [] : [same / count];
  });
  return meanShare(shares);
}

/** The mean of some shares, and its standard error. */
export function meanShare(shares: readonly number[]) {
  const n = shares.length;
  if (n === 0) return { recall: 1, error: 0 };
  const recall = shares.reduce((sum, share) => sum + share, 0) / n;
  const squares = shares.reduce((sum, share) => sum + (share - recall) ** 2, 0);
  return { recall, error: Math.sqrt(squares) / n };
}
