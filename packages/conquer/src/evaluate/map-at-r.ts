import { averagePrecisionAtR } from './average-precision.js';
import type { NeighbourMetric } from './metric.js';

/**
 * MAP@R (Musgrave, Belongie, Lim, "A metric learning reality check", ECCV 2020): for a query whose class has
 * R other images in the gallery, (1/R) Σ_{i ≤ R} precision(i) · [neighbour i is of the class]; then the mean
 * over the queries. A query with R = 0 counts as 0.
 *
 * @param queryLabels (Q,)
 * @param neighbours (Q × width) row-major: the gallery labels of the neighbours are `galleryLabels[neighbours]`,
 *   nearest first, the query itself left out; `width` must reach the largest R
 * @param relevant (Q,) R of every query, see `countRelevant`
 */
export function meanAveragePrecisionAtR(
  queryLabels: Int32Array,
  galleryLabels: Int32Array,
  neighbours: Int32Array,
  relevant: Int32Array,
): number {
  return averagePrecisionAtR(queryLabels, galleryLabels, neighbours, relevant, 'relevant');
}

export const mapAtR: NeighbourMetric = {
  names: () => ['MAP@R'],
  help: 'mean average precision at R, the images of the class to be found, divided by R',
  shown: 'per cent',
  extended: false,
  chooses: true,
  of: 'neighbours',
  measure: ({ queryLabels, galleryLabels, neighbours, relevant }) => [
    meanAveragePrecisionAtR(queryLabels, galleryLabels, neighbours, relevant),
  ],
};
