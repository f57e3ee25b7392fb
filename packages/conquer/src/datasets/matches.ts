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
  const searched = gallery ?? queries;
  const itself = (query: number) => (gallery ? (own.get(query) ?? []) : [query]);
  if (searched.labelSets || queries.labelSets) return withoutShared(queries, searched, itself);
  const sizes = new Map<number, number>();
  for (const label of searched.labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  let count = 0;
  for (const [query, label] of queries.labels.entries()) {
    // Among themselves, a query leaves out itself alone.
    const left = gallery ? itself(query).filter((position) => searched.labels[position] === label).length : 1;
    if ((sizes.get(label) ?? 0) - left <= 0) count++;
  }
  return count;
}

/** The same where images have several labels: a match shares one of them. */
function withoutShared(
  queries: Split,
  searched: Split,
  itself: (query: number) => readonly number[],
): number {
  const setOf = (split: Split, image: number) =>
    split.labelSets?.[image] ?? split.labels.subarray(image, image + 1);
  const places = new Map<number, number[]>();
  for (const image of searched.labels.keys())
    for (const label of setOf(searched, image)) {
      const known = places.get(label);
      if (known) known.push(image);
      else places.set(label, [image]);
    }
  return [...queries.labels.keys()].filter((query) => {
    const left = new Set(itself(query));
    return ![...setOf(queries, query)].some((label) => places.get(label)?.some((place) => !left.has(place)));
  }).length;
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
