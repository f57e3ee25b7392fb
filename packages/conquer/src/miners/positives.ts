/** The other images of the anchor's class, ascending. */
export function positivesOf(anchor: number, labels: Int32Array): number[] {
  const found: number[] = [];
  for (let other = 0; other < labels.length; other++) {
    if (other !== anchor && labels[other] === labels[anchor]) found.push(other);
  }
  return found;
}

/** How many positives an image of this batch has on average. */
export function meanPositives(labels: Int32Array): number {
  const sizes = new Map<number, number>();
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  let pairs = 0;
  for (const size of sizes.values()) pairs += size * (size - 1);
  return labels.length === 0 ? 0 : pairs / labels.length;
}

/** How many images the largest class of this batch has. */
export function largestClass(labels: Int32Array): number {
  const sizes = new Map<number, number>();
  for (const label of labels) sizes.set(label, (sizes.get(label) ?? 0) + 1);
  return Math.max(0, ...sizes.values());
}
