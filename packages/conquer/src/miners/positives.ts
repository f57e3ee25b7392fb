import type { Labelled } from '../rows.js';

/** The reference rows of the anchor's class that are not its own image, ascending. */
export function positivesOf(anchor: number, anchors: Labelled, reference: Labelled): number[] {
  const found: number[] = [];
  for (let other = 0; other < reference.labels.length; other++) {
    const isOne =
      reference.labels[other] === anchors.labels[anchor] &&
      reference.imageIds[other] !== anchors.imageIds[anchor];
    if (isOne) found.push(other);
  }
  return found;
}

/** How many positives an anchor has on average, by how many each has. */
export function meanOf(positives: Int32Array): number {
  const pairs = positives.reduce((sum, count) => sum + count, 0);
  return positives.length === 0 ? 0 : pairs / positives.length;
}
