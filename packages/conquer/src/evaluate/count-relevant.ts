import type { OwnInGallery } from '../own-in-gallery.js';

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
