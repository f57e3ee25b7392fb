import { eye, type Tensor } from '@conquer/torch';
import { classTargets } from '../batch-labels.js';

/** Which pairs (row, column) of a batch are positive and which negative: (B, B) bool. The diagonal is neither. */
export interface PairMasks {
  positives: Tensor;
  negatives: Tensor;
}

/** @throws UserError for labels that do not belong to the embeddings (B, D), see checkBatch */
export function pairMasks(loss: string, embeddings: Tensor, labels: Int32Array): PairMasks {
  const { device } = embeddings;
  const column = classTargets(loss, embeddings, labels).unsqueeze(1);
  const negatives = column.ne(column.t());
  const diagonal = eye(labels.length, { device }).gt(0);
  return { positives: negatives.logicalOr(diagonal).logicalNot(), negatives };
}

/** Whether a batch holds a class with two images and an image of another class. */
export function hasPositivesAndNegatives(labels: Int32Array): boolean {
  const classes = new Set(labels);
  return classes.size > 1 && classes.size < labels.length;
}
