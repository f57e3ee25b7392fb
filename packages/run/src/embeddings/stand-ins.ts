import type { EmbeddedSet, EmbeddingsRead, NeighbourLists } from './embeddings-file.js';

/**
 * Without the rows of images that cannot be read, in which older versions wrote another image's embedding: those that
 * are another's of their class, and whose file is there and is no image.
 *
 * @param isReadable asked of such images; null: none of the run's may be bad
 */
export async function withoutStandIns(
  rows: EmbeddingsRead,
  isReadable: ((path: string) => Promise<boolean>) | null,
): Promise<EmbeddingsRead> {
  if (rows.hasPositions || isReadable === null) return rows;
  const { dim } = rows;
  const standIns = async ({ vectors, labels, images }: EmbeddedSet): Promise<Set<number>> => {
    const found = new Set<number>();
    if (images === null) return found;
    for (const row of likelyStandIns(vectors, dim, labels))
      if (!(await isReadable(images.paths[row] as string))) found.add(row);
    return found;
  };
  const without = ({ vectors, labels, images }: EmbeddedSet, gone: ReadonlySet<number>): EmbeddedSet => {
    const stays = (_: unknown, row: number) => !gone.has(row);
    return {
      vectors: vectors.filter((_, at) => !gone.has(Math.floor(at / dim))),
      labels: labels.filter(stays),
      images: images && {
        ...images,
        paths: images.paths.filter(stays),
        labels: images.labels.filter(stays),
      },
    };
  };
  const bad = await standIns(rows.queries);
  const badGallery = rows.gallery && (await standIns(rows.gallery));
  return {
    ...rows,
    queries: without(rows.queries, bad),
    gallery: rows.gallery && without(rows.gallery, badGallery ?? new Set()),
    neighbours: neighboursWithout(rows.neighbours, bad, badGallery ?? bad),
    clusters: rows.clusters.filter((_, row) => !bad.has(row)),
    leftOut: rows.leftOut + bad.size + (badGallery?.size ?? 0),
    places: {
      of: rows.clusters.length,
      rows: Int32Array.from(rows.clusters.keys()).filter((row) => !bad.has(row)),
    },
  };
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
function likelyStandIns(vectors: Float32Array, dim: number, labels: Int32Array): number[] {
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

/**
 * Lists of neighbours without some rows; they are as long as the shortest of them then is.
 *
 * @param queries rows that search no more
 * @param searched rows that are found no more; the others are counted anew
 */
function neighboursWithout(
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
