import { eye, type Tensor, tensor } from '@conquer/torch';

/** Which pairs (row, column) of a batch are positive and which negative: (B, B) bool. The diagonal is neither. */
export interface PairMasks {
  positives: Tensor;
  negatives: Tensor;
}

export function pairMasks(labels: Int32Array, device: string): PairMasks {
  const column = tensor(labels, { dtype: 'int64', device }).unsqueeze(1);
  const negatives = column.ne(column.t());
  const diagonal = eye(labels.length, { device }).gt(0);
  return { positives: negatives.logicalOr(diagonal).logicalNot(), negatives };
}

/** Whether a batch holds a class with two images and an image of another class. */
export function hasPositivesAndNegatives(labels: Int32Array): boolean {
  const classes = new Set(labels);
  return classes.size > 1 && classes.size < labels.length;
}
