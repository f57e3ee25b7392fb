import { averagePrecisionAtR } from './average-precision.js';
import type { NeighbourMetric } from './metric.js';

/**
 * dcesml's "mean average R-precision": as MAP@R, but the sum is divided by the number of hits among the first
 * R, not by R. A query that finds one of ten images at rank 1 scores 1 here and 0.1 in MAP@R, so the two
 * cannot be compared. A query without a hit counts as 0.
 *
 * The parameters are those of `meanAveragePrecisionAtR`.
 */
export function meanAverageRPrecisionOfHits(
  queryLabels: Int32Array,
  galleryLabels: Int32Array,
  neighbours: Int32Array,
  relevant: Int32Array,
): number {
  return averagePrecisionAtR(queryLabels, galleryLabels, neighbours, relevant, 'hits');
}

export const marp: NeighbourMetric = {
  names: () => ['mARP'],
  help: "the same, divided by the number of hits, as the TPAMI 2021 authors' code has it; higher, and not comparable",
  shown: 'per cent',
  extended: false,
  chooses: true,
  compat: 'dcesml',
  of: 'neighbours',
  measure: ({ queryLabels, galleryLabels, neighbours, relevant }) => [
    meanAverageRPrecisionOfHits(queryLabels, galleryLabels, neighbours, relevant),
  ],
};
