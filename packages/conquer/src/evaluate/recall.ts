import type { NeighbourMetric } from './metric.js';

/**
 * Recall@k: the fraction of queries with at least one image of their own class among the k nearest.
 * A query whose class has no other image counts as a miss.
 *
 * @param queryLabels (Q,)
 * @param galleryLabels (G,)
 * @param neighbours (Q × width) row-major: indices into the gallery, nearest first, the query itself left out
 * @param k at most `width` neighbours exist; a larger k looks at all of them
 */
export function recallAtK(
  queryLabels: Int32Array,
  galleryLabels: Int32Array,
  neighbours: Int32Array,
  k: number,
): number {
  const width = neighbours.length / queryLabels.length;
  const depth = Math.min(k, width);
  let hits = 0;
  for (let query = 0; query < queryLabels.length; query++) {
    for (let rank = 0; rank < depth; rank++) {
      if (galleryLabels[neighbours[query * width + rank] as number] === queryLabels[query]) {
        hits++;
        break;
      }
    }
  }
  return hits / queryLabels.length;
}

export const recall: NeighbourMetric = {
  names: (recallAt) => recallAt.map((k) => `R@${k}`),
  help: 'share of the queries with an image of their class among the k nearest',
  shown: 'per cent',
  extended: false,
  chooses: true,
  of: 'neighbours',
  measure: ({ queryLabels, galleryLabels, neighbours }, recallAt) =>
    recallAt.map((k) => recallAtK(queryLabels, galleryLabels, neighbours, k)),
};
