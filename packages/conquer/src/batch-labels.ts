import { UserError } from '@conquer/run';
import { type Tensor, tensor } from '@conquer/torch';

/**
 * Checks the labels of a batch: one that is left out, rounded or wrapped on the way to libtorch gives a loss of other
 * images than those that were meant.
 *
 * @param what the loss or miner, for the message
 * @param embeddings (B, D)
 * @param labels (B,)
 * @param numClasses of a loss that learns something for each class; without it any integer is a class
 * @throws UserError for embeddings that are no matrix, labels that are no Int32Array of B or none of the classes'
 */
export function checkBatch(
  what: string,
  embeddings: Tensor,
  labels: Int32Array,
  numClasses: number | null = null,
): void {
  if (embeddings.ndim !== 2)
    throw new UserError(`${what}: expected embeddings (B, D), got shape [${embeddings.shape}]`);
  if (!(labels instanceof Int32Array)) {
    throw new UserError(
      `${what}: expected labels as an Int32Array, got ${Object.prototype.toString.call(labels).slice(8, -1)}`,
    );
  }
  if (labels.length !== embeddings.size(0)) {
    throw new UserError(
      `${what}: expected a label for each of the ${embeddings.size(0)} embeddings, got ${labels.length}`,
    );
  }
  if (numClasses === null) return;
  const row = labels.findIndex((label) => label < 0 || label >= numClasses);
  if (row >= 0) {
    throw new UserError(
      `${what}: expected labels 0…${numClasses - 1} for its ${numClasses} classes, got ${labels[row]} in row ${row}`,
    );
  }
}

/** The labels (B,) as int64 beside the embeddings (B, D), checked as above. */
export function classTargets(
  what: string,
  embeddings: Tensor,
  labels: Int32Array,
  numClasses: number | null = null,
): Tensor {
  checkBatch(what, embeddings, labels, numClasses);
  return tensor(labels, { dtype: 'int64', device: embeddings.device });
}
