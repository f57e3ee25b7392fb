import type { Tensor } from '@conquer-dml/torch';
import { nearestNeighbours } from '../neighbours/nearest.js';
import type { StopCheck } from '../stop-check.js';
import type { Finding } from './finding.js';

/** Neighbours whose distance says how far an image is from all others. */
const NEIGHBOURS = 10;
/** Interquartile ranges above the upper quartile from which on a distance is an outlier's: between Tukey's two fences, 1.5 and 3. */
const FAR_OUT = 2;

/**
 * Images that are like no other: whose mean distance to the nearest others is far above what such distances are.
 *
 * @param rows (N, D) of length 1
 */
export function outliers(rows: Tensor, stop?: StopCheck): Finding[] {
  const { k, distances } = nearestNeighbours(rows, null, NEIGHBOURS, { stop });
  const size = rows.size(0);
  const means = Array.from({ length: size }, (_, place) => {
    let sum = 0;
    for (let at = place * k; at < (place + 1) * k; at++) sum += distances[at]!;
    return sum / k;
  });
  const sorted = [...means].sort((a, b) => a - b);
  const quartile = (share: number) => sorted[Math.floor(share * (size - 1))]!;
  const [lower, upper] = [quartile(0.25), quartile(0.75)];
  const limit = upper + FAR_OUT * (upper - lower);
  return means.flatMap((distance, place): Finding[] =>
    distance > limit ? [{ kind: 'outlier', score: distance / limit, images: [place], classes: [] }] : [],
  );
}
