import { contingency } from './contingency.js';
import type { ClusterMetric } from './metric.js';
import { entropyOf, mutualInformation } from './nmi.js';

/**
 * Adjusted mutual information (Vinh, Epps, Bailey, JMLR 2010), by the arithmetic mean of the entropies: NMI less what two
 * partitions of these sizes share by chance, so that chance is 0; scikit-learn's adjusted_mutual_info_score. Below 0 it is worse
 * than chance. Two partitions of one part each, or of one item each, agree: 1.
 *
 * @param a (N,) the part of each item, any integers
 * @param b (N,) likewise
 * @throws RangeError if the lengths differ
 */
export function adjustedMutualInformation(a: Int32Array, b: Int32Array): number {
  const table = contingency(a, b);
  const size = a.length;
  const isTrivial = (parts: number) => parts <= 1 || parts === size;
  if (table.a.size === table.b.size && isTrivial(table.a.size)) return 1;
  const information = mutualInformation(table, size);
  const expected = expectedInformation(countsBySize(table.a), countsBySize(table.b), size);
  const mean = (entropyOf(table.a, size) + entropyOf(table.b, size)) / 2;
  const room = mean - expected;
  return room === 0 ? 0 : (information - expected) / room;
}

/** How many parts there are of each size: those of one size share the same by chance. */
function countsBySize(parts: Map<number, number>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const size of parts.values()) counts.set(size, (counts.get(size) ?? 0) + 1);
  return counts;
}

/** Of partitions drawn at random with these sizes of parts. */
function expectedInformation(a: Map<number, number>, b: Map<number, number>, size: number): number {
  const logFactorial = new Float64Array(size + 1);
  for (let n = 1; n <= size; n++) logFactorial[n] = logFactorial[n - 1]! + Math.log(n);
  const log = (n: number) => logFactorial[n]!;
  let total = 0;
  for (const [partA, countA] of a)
    for (const [partB, countB] of b) {
      let sum = 0;
      const fixed = log(partA) + log(partB) + log(size - partA) + log(size - partB) - log(size);
      for (let both = Math.max(1, partA + partB - size); both <= Math.min(partA, partB); both++) {
        const ways = log(both) + log(partA - both) + log(partB - both) + log(size - partA - partB + both);
        const weight = Math.exp(fixed - ways);
        sum += (both / size) * Math.log((size * both) / (partA * partB)) * weight;
      }
      total += countA * countB * sum;
    }
  return total;
}

export const ami: ClusterMetric = {
  names: () => ['AMI'],
  help: 'adjusted mutual information of the classes and that k-means: NMI less what chance gives, so that chance is 0',
  others: "scikit-learn's adjusted_mutual_info_score",
  shown: 'per cent',
  when: 'all',
  chooses: false,
  of: 'clusters',
  measure: (classes, { assignments }) => adjustedMutualInformation(classes, assignments),
};
