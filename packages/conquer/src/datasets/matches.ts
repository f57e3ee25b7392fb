import { counted } from '@conquer-dml/run';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { Split } from './dataset.js';

/**
 * Queries for which there is nothing to be found: no image of their class but their own.
 *
 * @param gallery where they are looked for; null: among themselves
 * @param own places of the queries' own files in the gallery
 */
export function withoutMatch(queries: Split, gallery: Split | null, own: OwnInGallery = new Map()): number {
  const sizes = new Map<number, number>();
  for (const label of (gallery ?? queries).labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  let count = 0;
  for (const [query, label] of queries.labels.entries()) {
    const itself = gallery
      ? (own.get(query) ?? []).filter((position) => gallery.labels[position] === label).length
      : 1;
    if ((sizes.get(label) ?? 0) - itself <= 0) count++;
  }
  return count;
}

/** Says how many these are, and what it means for R@k; null where there are none. */
export function withoutMatchWarning(
  queries: Split,
  gallery: Split | null,
  own?: OwnInGallery,
): string | null {
  const count = withoutMatch(queries, gallery, own);
  if (count === 0) return null;
  const all = queries.labels.length;
  const most = ((100 * (all - count)) / all).toFixed(1);
  const missed = count === 1 ? 'counts as a miss' : 'count as misses';
  const what = gallery
    ? `${count} of ${counted(all, 'query', 'queries')} ${count === 1 ? 'has' : 'have'} no match in the gallery and ${missed}`
    : `${count} of ${all} ${queries.name} images ${count === 1 ? 'is the only one' : 'are the only ones'} of their class and ${missed}`;
  return `${what}: R@k cannot pass ${most} %`;
}
