import { type Tensor, tensor } from '@conquer/torch';
import { checkBatch } from '../batch-labels.js';
import type { Tuples } from '../tuples.js';

/** Positive pairs, each with the negatives that it meets. */
export interface PairSets {
  /** (P,) int64, rows of the batch. */
  anchors: Tensor;
  positives: Tensor;
  /** (P, B) bool */
  negatives: Tensor;
}

/**
 * Every ordered positive pair of a batch with all images of other classes; or, where tuples are given, the pairs
 * that occur among them with the negatives that occur beside each.
 *
 * @throws UserError for labels that do not belong to the embeddings (B, D), see checkBatch
 */
export function pairSets(
  loss: string,
  embeddings: Tensor,
  labels: Int32Array,
  tuples: Tuples | null,
): PairSets {
  checkBatch(loss, embeddings, labels);
  const { device } = embeddings;
  const size = labels.length;
  const rows = new Map<number, Set<number> | null>();
  if (tuples) {
    for (const [i, anchor] of tuples.anchors.entries()) {
      const pair = anchor * size + (tuples.positives[i] as number);
      const negatives = rows.get(pair) ?? new Set();
      rows.set(pair, negatives.add(tuples.negatives[i] as number));
    }
  } else {
    for (let pair = 0; pair < size * size; pair++) {
      const [anchor, positive] = [Math.floor(pair / size), pair % size];
      if (anchor !== positive && labels[anchor] === labels[positive]) rows.set(pair, null);
    }
  }
  const pairs = [...rows.keys()];
  const index = (of: (pair: number) => number) =>
    tensor(Int32Array.from(pairs, of), { dtype: 'int64', device });
  const negatives = new Uint8Array(pairs.length * size);
  for (const [row, pair] of pairs.entries()) {
    const chosen = rows.get(pair);
    const anchorLabel = labels[Math.floor(pair / size)];
    for (let other = 0; other < size; other++) {
      const negative = chosen ? chosen.has(other) : labels[other] !== anchorLabel;
      negatives[row * size + other] = Number(negative);
    }
  }
  return {
    anchors: index((pair) => Math.floor(pair / size)),
    positives: index((pair) => pair % size),
    negatives: tensor(negatives, { shape: [pairs.length, size], device }).gt(0),
  };
}
