import type { OwnInGallery } from '../own-in-gallery.js';

/** All labels of images, where one may have several: two that share one are of one class. */
export type LabelSets = readonly Int32Array[];

/** R of every query where images have several labels: how many gallery images share one with it, itself not counted. */
export function countSharing(
  queries: LabelSets,
  gallery: LabelSets | null,
  own: OwnInGallery = new Map(),
): Int32Array {
  const places = new Map<number, number[]>();
  for (const [place, labels] of (gallery ?? queries).entries())
    for (const label of labels) {
      const known = places.get(label);
      if (known) known.push(place);
      else places.set(label, [place]);
    }
  return Int32Array.from(queries, (labels, query) => {
    const sharing = new Set([...labels].flatMap((label) => places.get(label) ?? []));
    for (const place of gallery ? (own.get(query) ?? []) : [query]) sharing.delete(place);
    return sharing.size;
  });
}

/** Whether two images share a label. */
export const shareLabel = (a: Int32Array, b: Int32Array) => a.some((label) => b.includes(label));

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
