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
export function imagesOfRows<List extends Pick<ImageList, 'paths' | 'labels'>>(
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
  return { ...list, paths: pick(paths), labels: pick(list.labels) };
}

/** Two embeddings of one image may differ by rounding. */
const SAME = 1e-4;

/**
 * Rows that may be another image's, to be looked at: they are the same as another row of their class. Versions before
 * `positions` wrote an image of the class in place of one that could not be read.
 *
 * @param vectors (N, D)
 * @param labels (N,)
 */
export function likelyStandIns(vectors: Float32Array, dim: number, labels: Int32Array): number[] {
  const at = (row: number, d: number) => vectors[row * dim + d] as number;
  const order = Array.from(labels.keys()).sort(
    (a, b) => (labels[a] as number) - (labels[b] as number) || at(a, 0) - at(b, 0),
  );
  const found = new Set<number>();
  for (const [i, row] of order.entries()) {
    for (let j = i + 1; j < order.length; j++) {
      const other = order[j] as number;
      if (labels[other] !== labels[row] || at(other, 0) - at(row, 0) > SAME) break;
      let squared = 0;
      for (let d = 0; d < dim && squared <= SAME ** 2; d++) squared += (at(row, d) - at(other, d)) ** 2;
      if (squared <= SAME ** 2) found.add(row).add(other);
    }
  }
  return [...found].sort((a, b) => a - b);
}

export interface NeighbourLists {
  /** (N, k) rows of what is searched, nearest first. */
  neighbours: Int32Array;
  /** (N, k) */
  distances: Float32Array;
  depth: number;
}

/**
 * Lists of neighbours without some rows; they are as long as the shortest of them then is.
 *
 * @param queries rows that search no more
 * @param searched rows that are found no more; the others are counted anew
 */
export function neighboursWithout(
  { neighbours, distances, depth }: NeighbourLists,
  queries: ReadonlySet<number>,
  searched: ReadonlySet<number>,
): NeighbourLists {
  const lists: number[][] = [];
  for (let query = 0; query * depth < neighbours.length; query++) {
    if (queries.has(query)) continue;
    const places = Array.from({ length: depth }, (_, rank) => query * depth + rank);
    lists.push(places.filter((place) => !searched.has(neighbours[place] as number)));
  }
  const shortest = lists.reduce((least, { length }) => Math.min(least, length), depth);
  const places = lists.flatMap((list) => list.slice(0, shortest));
  const gone = [...searched].sort((a, b) => a - b);
  const anew = (row: number) => row - gone.filter((other) => other < row).length;
  return {
    neighbours: Int32Array.from(places, (place) => anew(neighbours[place] as number)),
    distances: Float32Array.from(places, (place) => distances[place] as number),
    depth: shortest,
  };
}
