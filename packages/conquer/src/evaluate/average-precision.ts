import type { OwnInGallery } from '../own-in-gallery.js';

/**
 * The mean over the queries of Σ_{i ≤ R} precision(i) · [neighbour i is a hit], divided by R ('relevant') or by
 * the number of hits ('hits'). Neighbours that `neighbours` does not reach count as misses.
 */
export function averagePrecisionAtR(
  queryLabels: Int32Array,
  galleryLabels: Int32Array,
  neighbours: Int32Array,
  relevant: Int32Array,
  dividedBy: 'relevant' | 'hits',
): number {
  const width = neighbours.length / queryLabels.length;
  let total = 0;
  for (let query = 0; query < queryLabels.length; query++) {
    const depth = relevant[query] as number;
    let hits = 0;
    let precisions = 0;
    for (let rank = 0; rank < Math.min(depth, width); rank++) {
      if (galleryLabels[neighbours[query * width + rank] as number] !== queryLabels[query]) continue;
      hits++;
      precisions += hits / (rank + 1);
    }
    if (hits > 0) total += precisions / (dividedBy === 'hits' ? hits : depth);
  }
  return total / queryLabels.length;
}

/**
 * R of every query: how many gallery images share its class, itself not counted.
 *
 * @param queryLabels (N,)
 * @param galleryLabels (M,); null if the queries are the gallery
 * @param options.compat 'revisiting-dml' counts the query itself too, as that collection does, so that even a
 *   perfect ranking scores below 1
 * @param options.own the queries' own images in the gallery, not counted
 * @returns (N,)
 */
export function countRelevant(
  queryLabels: Int32Array,
  galleryLabels: Int32Array | null,
  options: { compat?: 'revisiting-dml'; own?: OwnInGallery | undefined } = {},
): Int32Array {
  const sizes = new Map<number, number>();
  for (const label of galleryLabels ?? queryLabels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  const itself = galleryLabels === null && options.compat !== 'revisiting-dml' ? 1 : 0;
  return queryLabels.map((label, query) => {
    const own = options.own?.get(query)?.filter((position) => galleryLabels?.[position] === label);
    return (sizes.get(label) ?? 0) - itself - (own?.length ?? 0);
  });
}
