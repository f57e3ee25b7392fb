import { areAlike, hasOneLabel, type Labelled } from '../rows.js';
import type { Pairs } from '../tuples.js';

/** Visits every pair of an anchor and a reference row but those of one image, anchor by anchor. */
export function forEachPair(
  anchors: Labelled,
  reference: Labelled,
  visit: (anchor: number, row: number, isPositive: boolean) => void,
): void {
  const oneLabel = hasOneLabel(anchors);
  for (let anchor = 0; anchor < anchors.labels.length; anchor++) {
    for (let row = 0; row < reference.labels.length; row++) {
      if (anchors.imageIds[anchor] === reference.imageIds[row]) continue;
      const isPositive = oneLabel
        ? anchors.labels[anchor] === reference.labels[row]
        : areAlike(anchors, anchor, reference, row);
      if (isPositive !== null) visit(anchor, row, isPositive);
    }
  }
}

/** Collects pairs one by one. */
export class PairList {
  readonly #lists = { positive: [[], []], negative: [[], []] } as Record<
    'positive' | 'negative',
    [anchors: number[], rows: number[]]
  >;

  add(isPositive: boolean, anchor: number, row: number): void {
    const [anchors, rows] = this.#lists[isPositive ? 'positive' : 'negative'];
    anchors.push(anchor);
    rows.push(row);
  }

  pairs(): Pairs {
    const { positive, negative } = this.#lists;
    return {
      positiveAnchors: Int32Array.from(positive[0]),
      positives: Int32Array.from(positive[1]),
      negativeAnchors: Int32Array.from(negative[0]),
      negatives: Int32Array.from(negative[1]),
    };
  }
}
