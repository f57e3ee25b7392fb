import { type Tensor, tensor } from '@conquer-dml/torch';
import { checkPair } from '../batch-labels.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';

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
 * @throws UserError for labels that do not belong to the embeddings, see checkPair
 */
export function pairMasks(loss: string, anchors: Rows, reference: Rows = anchors): PairMasks {
  checkPair(loss, anchors, reference);
  const { device } = anchors.embeddings;
  const differ = (ofAnchors: Int32Array, ofReference: Int32Array) =>
    tensor(ofAnchors, { dtype: 'int64', device })
      .unsqueeze(1)
      .ne(tensor(ofReference, { dtype: 'int64', device }));
  const negatives = differ(anchors.labels, reference.labels);
  const same = differ(anchors.imageIds, reference.imageIds).logicalNot();
  return { positives: negatives.logicalOr(same).logicalNot(), negatives, same };
}

/** Whether an anchor has an image of its class and one of another to be compared with. */
export function hasPositivesAndNegatives(anchors: Labelled, reference: Labelled): boolean {
  const { positives, negatives } = countPairs(anchors, reference);
  return positives.some((count, anchor) => count > 0 && negatives[anchor]! > 0);
}
