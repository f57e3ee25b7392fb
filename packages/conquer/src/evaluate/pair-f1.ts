import { contingency } from './contingency.js';
import type { ClusterMetric } from './metric.js';

/**
 * F1 of a clustering by pairs of items, as the Revisiting collection measures it: precision is the share of
 * the pairs in one cluster that are of one class, recall the share of the pairs of one class that are in one
 * cluster; their harmonic mean, in [0, 1]. Two partitions without any pair agree: 1.
 *
 * @param classes (N,) the class of each item, any integers
 * @param clusters (N,) likewise
 * @throws RangeError if the lengths differ
 */
export function pairF1(classes: Int32Array, clusters: Int32Array): number {
  const table = contingency(classes, clusters);
  const pairs = (sizes: Iterable<number>) => {
    let sum = 0;
    for (const size of sizes) sum += (size * (size - 1)) / 2;
    return sum;
  };
  const together = pairs(table.overlaps.map(({ count }) => count));
  const total = pairs(table.a.values()) + pairs(table.b.values());
  return total === 0 ? 1 : (2 * together) / total;
}

export const f1: ClusterMetric = {
  names: () => ['F1'],
  help: "harmonic mean of precision and recall of the pairs that share a cluster, on NMI's clusters",
  shown: 'per cent',
  when: 'all',
  chooses: false,
  of: 'clusters',
  measure: (classes, { assignments }) => pairF1(classes, assignments),
};
