import { type Contingency, contingency } from './contingency.js';
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
  const entropies = entropyOf(table.a, a.length) + entropyOf(table.b, a.length);
  return Math.min(1, Math.max(0, (2 * mutualInformation(table, a.length)) / entropies));
}

/** In nats. @param total N */
export function mutualInformation(table: Contingency, total: number): number {
  let information = 0;
  for (const { a, b, count } of table.overlaps) {
    const independent = (table.a.get(a) as number) * (table.b.get(b) as number);
    information += (count / total) * Math.log((count * total) / independent);
  }
  return information;
}

/** In nats. @param sizes of the parts @param total N */
export function entropyOf(sizes: Map<number, number>, total: number): number {
  let sum = 0;
  for (const size of sizes.values()) sum -= (size / total) * Math.log(size / total);
  return sum;
}

export const nmi: ClusterMetric = {
  names: () => ['NMI'],
  help: 'normalised mutual information (arithmetic) of the classes and a k-means with as many clusters as there are classes; of chance it is not 0, see AMI',
  others: "scikit-learn's normalized_mutual_info_score",
  shown: 'per cent',
  when: 'always',
  chooses: true,
  of: 'clusters',
  measure: (classes, { assignments }) => normalizedMutualInformation(classes, assignments),
};
