/**
 * Normalised mutual information of two partitions of the same items, by the arithmetic mean of their entropies:
 * 2 I(a; b) / (H(a) + H(b)), in [0, 1]. Two partitions of one part each agree: 1.
 *
 * @throws RangeError if the lengths differ
 */
export function normalizedMutualInformation(a: Int32Array, b: Int32Array): number {
  if (a.length !== b.length) {
    throw new RangeError(`NMI: expected two labels for each item, got ${a.length} and ${b.length}`);
  }
  const sizesA = new Map<number, number>();
  const sizesB = new Map<number, number>();
  const joint = new Map<number, Map<number, number>>();
  for (let item = 0; item < a.length; item++) {
    const partA = a[item] as number;
    const partB = b[item] as number;
    increment(sizesA, partA);
    increment(sizesB, partB);
    const row = joint.get(partA) ?? new Map<number, number>();
    increment(row, partB);
    joint.set(partA, row);
  }
  const entropyA = entropy(sizesA, a.length);
  const entropyB = entropy(sizesB, b.length);
  if (sizesA.size <= 1 && sizesB.size <= 1) return 1;
  let information = 0;
  for (const [partA, row] of joint) {
    for (const [partB, count] of row) {
      const independent = (sizesA.get(partA) as number) * (sizesB.get(partB) as number);
      information += (count / a.length) * Math.log((count * a.length) / independent);
    }
  }
  return Math.min(1, Math.max(0, (2 * information) / (entropyA + entropyB)));
}

function increment(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function entropy(sizes: Map<number, number>, total: number): number {
  let sum = 0;
  for (const size of sizes.values()) sum -= (size / total) * Math.log(size / total);
  return sum;
}
