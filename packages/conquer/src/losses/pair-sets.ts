import { type Tensor, tensor } from '@conquer-dml/torch';
import { checkPair } from '../batch-labels.js';
import type { Rows } from '../rows.js';
import { asTuples, type Mined } from '../tuples.js';

/** Positive pairs, each with the negatives that it meets. */
export interface PairSets {
  /** (P,) int64, rows of the anchors. */
  anchors: Tensor;
  /** (P,) int64, rows of the reference set. */
  positives: Tensor;
  /** (P, N) bool */
  negatives: Tensor;
}

/**
 * Every positive pair of an anchor and a reference row with all reference rows of other classes; or, where tuples are
 * given, the pairs that occur among them with the negatives that occur beside each.
 *
 * @throws UserError for labels that do not belong to the embeddings, see checkPair
 */
export function pairSets(loss: string, of: Rows, reference: Rows, mined: Mined | null): PairSets {
  checkPair(loss, of, reference);
  const { device } = of.embeddings;
  const numAnchors = of.labels.length;
  const size = reference.labels.length;
  const tuples = mined && asTuples(mined);
  const rows = new Map<number, Set<number> | null>();
  if (tuples) {
    for (const [i, anchor] of tuples.anchors.entries()) {
      const pair = anchor * size + tuples.positives[i]!;
      const negatives = rows.get(pair) ?? new Set();
      rows.set(pair, negatives.add(tuples.negatives[i]!));
    }
  } else {
    for (let anchor = 0; anchor < numAnchors; anchor++) {
      for (let other = 0; other < size; other++) {
        const isPositive =
          of.labels[anchor] === reference.labels[other] && of.imageIds[anchor] !== reference.imageIds[other];
        if (isPositive) rows.set(anchor * size + other, null);
      }
    }
  }
  const pairs = [...rows.keys()];
  const index = (part: (pair: number) => number) =>
    tensor(Int32Array.from(pairs, part), { dtype: 'int64', device });
  const negatives = new Uint8Array(pairs.length * size);
  for (const [row, pair] of pairs.entries()) {
    const chosen = rows.get(pair);
    const anchorLabel = of.labels[Math.floor(pair / size)];
    for (let other = 0; other < size; other++) {
      const negative = chosen ? chosen.has(other) : reference.labels[other] !== anchorLabel;
      negatives[row * size + other] = Number(negative);
    }
  }
  return {
    anchors: index((pair) => Math.floor(pair / size)),
    positives: index((pair) => pair % size),
    negatives: tensor(negatives, { shape: [pairs.length, size], device }).gt(0),
  };
}
