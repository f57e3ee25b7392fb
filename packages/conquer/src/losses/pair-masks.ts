import { type Tensor, tensor } from '@conquer-dml/torch';
import { checkPair } from '../batch-labels.js';
import { areAlike, countPairs, hasOneLabel, type Labelled, type Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';

/** Which pairs (anchor, reference row) are positive and which negative: (A, N) bool. */
export interface PairMasks {
  /** Of one class, without those of one image. */
  positives: Tensor;
  negatives: Tensor;
  /** Of one image. */
  same: Tensor;
}

/**
 * @param loss whose, for messages
 * @param reference what the anchors are compared with; by default themselves
 * @param mined takes only these pairs, each once; null: all there are, or all that are known where pairs are given
 * @throws UserError for labels that do not belong to the embeddings, see checkPair
 */
export function pairMasks(
  loss: string,
  anchors: Rows,
  reference: Rows = anchors,
  mined: Mined | null = null,
  takesKnownPairs = false,
): PairMasks {
  checkPair(loss, anchors, reference, true, takesKnownPairs);
  const { device } = anchors.embeddings;
  const differ = (ofAnchors: Int32Array, ofReference: Int32Array) =>
    tensor(ofAnchors, { dtype: 'int64', device })
      .unsqueeze(1)
      .ne(tensor(ofReference, { dtype: 'int64', device }));
  const same = differ(anchors.imageIds, reference.imageIds).logicalNot();
  const only = mined ?? anchors.pairs?.among(anchors.imageIds, reference.imageIds) ?? null;
  if (only !== null) {
    const { positiveAnchors, positives, negativeAnchors, negatives } = asPairs(only);
    const listed = (from: Int32Array, to: Int32Array) => listedPairs(anchors, reference, from, to).gt(0);
    return {
      positives: listed(positiveAnchors, positives),
      negatives: listed(negativeAnchors, negatives),
      same,
    };
  }
  if (!hasOneLabel(anchors)) {
    const alike = alikeMask(anchors, reference);
    return {
      positives: alike.logicalAnd(same.logicalNot()),
      negatives: alike.logicalOr(same).logicalNot(),
      same,
    };
  }
  const negatives = differ(anchors.labels, reference.labels);
  return { positives: negatives.logicalOr(same).logicalNot(), negatives, same };
}

/** Which pairs are of one class or one image, all that are not negative: (A, N) bool. Checks as pairMasks does. */
export function notNegative(loss: string, anchors: Rows, reference: Rows): Tensor {
  checkPair(loss, anchors, reference, true);
  return hasOneLabel(anchors)
    ? equal(anchors.labels, reference.labels, anchors)
    : alikeMask(anchors, reference).logicalOr(sameImage(anchors, reference));
}

/** Which pairs are of one image: (A, N) bool. */
export function sameImage(anchors: Rows, reference: Rows): Tensor {
  return equal(anchors.imageIds, reference.imageIds, anchors);
}

function equal(ofAnchors: Int32Array, ofReference: Int32Array, { embeddings: { device } }: Rows): Tensor {
  return tensor(ofAnchors, { dtype: 'int64', device })
    .unsqueeze(1)
    .eq(tensor(ofReference, { dtype: 'int64', device }));
}

/** How often each pair (anchor, reference row) is in a list: (A, N), as the embeddings are. */
export function listedPairs(
  anchors: Rows,
  reference: Rows,
  from: ArrayLike<number>,
  to: ArrayLike<number>,
): Tensor {
  const size = reference.labels.length;
  const counts = new Float32Array(anchors.labels.length * size);
  for (let i = 0; i < from.length; i++) counts[from[i]! * size + to[i]!]!++;
  const { dtype, device } = anchors.embeddings;
  return tensor(counts, { shape: [anchors.labels.length, size], dtype, device });
}

/** Which pairs are of images that are alike, each with itself too: (A, N) bool. */
function alikeMask(anchors: Rows, reference: Rows): Tensor {
  const size = reference.labels.length;
  const alike = new Uint8Array(anchors.labels.length * size);
  for (let anchor = 0; anchor < anchors.labels.length; anchor++)
    for (let row = 0; row < size; row++)
      alike[anchor * size + row] = Number(areAlike(anchors, anchor, reference, row));
  const { device } = anchors.embeddings;
  return tensor(alike, { shape: [anchors.labels.length, size], device }).gt(0);
}

/** Whether an anchor has an image of its class and one of another to be compared with. */
export function hasPositivesAndNegatives(anchors: Labelled, reference: Labelled): boolean {
  const { positives, negatives } = countPairs(anchors, reference);
  return positives.some((count, anchor) => count > 0 && negatives[anchor]! > 0);
}

/** Whether there is a pair of any kind. */
export function hasAnyPair(anchors: Labelled, reference: Labelled): boolean {
  const { positives, negatives } = countPairs(anchors, reference);
  return [positives, negatives].some((counts) => counts.some((count) => count > 0));
}
