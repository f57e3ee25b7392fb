import type { ImageList } from '../records/test-images.js';

// Which test image a row of embeddings.safetensors is of.

/**
 * The images of the rows of an embeddings file.
 *
 * @param list what test-images.json says of all images
 * @param labels (N,) of the rows
 * @param positions (N,) of the rows in the list; null: all of the list in its order, as older versions wrote it
 * @param total images that the list had when the file was written; null: not known
 * @returns a list of N; null where it is of other images
 */
export function imagesOfRows<List extends Pick<ImageList, 'paths' | 'labels' | 'labelSets'>>(
  list: List,
  labels: Int32Array,
  positions: Int32Array | null,
  total: number | null,
): List | null {
  const { paths } = list;
  if (list.labels.length !== paths.length || paths.length !== (total ?? paths.length)) return null;
  const rows = positions ?? Int32Array.from(paths.keys());
  if (rows.length !== labels.length) return null;
  if (rows.some((at, row) => list.labels[at] !== labels[row])) return null;
  const pick = <T>(values: readonly T[]) => Array.from(rows, (at) => values[at] as T);
  const { labelSets } = list;
  return {
    ...list,
    paths: pick(paths),
    labels: pick(list.labels),
    ...(labelSets && { labelSets: pick(labelSets) }),
  };
}
