/** How two partitions of the same items overlap. */
export interface Contingency {
  /** Items of each part of the first and of the second partition. */
  a: Map<number, number>;
  b: Map<number, number>;
  /** Items in a part of the first and a part of the second, where there are any. */
  overlaps: { a: number; b: number; count: number }[];
}

/** @throws RangeError if the lengths differ */
export function contingency(a: Int32Array, b: Int32Array): Contingency {
  if (a.length !== b.length) {
    throw new RangeError(`expected two labels for each item, got ${a.length} and ${b.length}`);
  }
  const table: Contingency = { a: new Map(), b: new Map(), overlaps: [] };
  const joint = new Map<number, Map<number, number>>();
  for (let item = 0; item < a.length; item++) {
    const partA = a[item] as number;
    const partB = b[item] as number;
    increment(table.a, partA);
    increment(table.b, partB);
    const row = joint.get(partA) ?? new Map<number, number>();
    increment(row, partB);
    joint.set(partA, row);
  }
  for (const [partA, row] of joint) {
    for (const [partB, count] of row) table.overlaps.push({ a: partA, b: partB, count });
  }
  return table;
}

function increment(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
