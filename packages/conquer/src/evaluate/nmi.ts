import { contingency } from './contingency.js';
import type { ClusterMetric } from './metric.js';

/**
 * Normalised mutual information of two partitions of the same items, by the arithmetic mean of their
 * entropies: 2 I(a; b) / (H(a) + H(b)), in [0, 1]; scikit-learn's normalized_mutual_info_score. Two
 * partitions of one part each agree: 1.
 *
 * @param a (N,) the part of each item, any integers
 * @param b (N,) likewise
 * @throws RangeError if the lengths differ
 */
export function normalizedMutualInformation(a: Int32Array, b: Int32Array): number {
  const table = contingency(a, b);
  if (table.a.size <= 1 && table.b.size <= 1) return 1;
  let information = 0;
  for (const { a: partA, b: partB, count } of table.overlaps) {
    const independent = (table.a.get(partA) as number) * (table.b.get(partB) as number);
    information += (count / a.length) * Math.log((count * a.length) / independent);
  }
  const entropies = entropy(table.a, a.length) + entropy(table.b, a.length);
  return Math.min(1, Math.max(0, (2 * information) / entropies));
}

function entropy(sizes: Map<number, number>, total: number): number {
  let sum = 0;
  for (const size of sizes.values()) sum -= (size / total) * Math.log(size / total);
  return sum;
}

export const nmi: ClusterMetric = {
  names: () => ['NMI'],
  help: 'normalised mutual information (arithmetic) of the classes and a k-means with as many clusters as there are classes',
  shown: 'per cent',
  extended: false,
  chooses: true,
  of: 'clusters',
  measure: normalizedMutualInformation,
};
