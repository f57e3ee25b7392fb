import { UserError } from '@conquer-dml/run';
import { type Tensor, tensor } from '@conquer-dml/torch';
import { hasOneLabel, type Rows } from './rows.js';

/**
 * Checks rows and their labels: one that is left out, rounded or wrapped on the way to libtorch gives a loss of other
 * images than those that were meant.
 *
 * @param what the loss or miner, for the message
 * @param numClasses of a loss that learns something for each class; without it any integer is a class
 * @throws UserError for embeddings that are no matrix, labels or image ids that are no Int32Array of as many, labels
 *   of none of the classes, or images of several labels where each is to have one
 */
export function checkRows(
  what: string,
  rows: Rows,
  {
    numClasses = null,
    severalLabels = false,
    knownPairs = false,
  }: { numClasses?: number | null; severalLabels?: boolean; knownPairs?: boolean } = {},
): void {
  const { embeddings, labels, imageIds, labelSets } = rows;
  if (embeddings.ndim !== 2)
    throw new UserError(`${what}: expected embeddings (B, D), got shape [${embeddings.shape}]`);
  for (const [name, values] of [
    ['label', labels],
    ['image id', imageIds],
  ] as const) {
    if (!(values instanceof Int32Array)) {
      throw new UserError(
        `${what}: expected ${name}s as an Int32Array, got ${Object.prototype.toString.call(values).slice(8, -1)}`,
      );
    }
    if (values.length !== embeddings.size(0)) {
      const article = name === 'label' ? 'a' : 'an';
      throw new UserError(
        `${what}: expected ${article} ${name} for each of the ${embeddings.size(0)} embeddings, got ${values.length}`,
      );
    }
  }
  if (rows.pairs ? !knownPairs : !severalLabels && !hasOneLabel(rows)) {
    const given = labelSets ? 'sets of labels' : rows.pairs ? 'pairs' : 'similarities';
    throw new UserError(`${what}: expected one label an image, got ${given}, which it cannot take`);
  }
  if (labelSets && labelSets.length !== labels.length) {
    throw new UserError(
      `${what}: expected a set of labels for each of the ${labels.length} embeddings, got ${labelSets.length}`,
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

/**
 * Checks anchors and what they are compared with.
 *
 * @throws UserError as checkRows does, and for a reference set of another width
 */
export function checkPair(
  what: string,
  anchors: Rows,
  reference: Rows,
  severalLabels = false,
  knownPairs = false,
): void {
  checkRows(what, anchors, { severalLabels, knownPairs });
  if (reference === anchors) return;
  checkRows(`${what}, reference set`, reference, { severalLabels, knownPairs });
  if (hasOneLabel(anchors) !== hasOneLabel(reference)) {
    throw new UserError(
      `${what}, reference set: expected labels of the same kind as the anchors', got one label an image for one of the two only`,
    );
  }
  const [wanted, got] = [anchors.embeddings.size(1), reference.embeddings.size(1)];
  if (wanted !== got)
    throw new UserError(
      `${what}, reference set: expected embeddings (N, ${wanted}) as the anchors', got (N, ${got})`,
    );
}

/** The labels (B,) as int64 beside the embeddings (B, D), checked as checkRows does. */
export function classTargets(what: string, rows: Rows, numClasses: number | null = null): Tensor {
  checkRows(what, rows, { numClasses });
  return tensor(rows.labels, { dtype: 'int64', device: rows.embeddings.device });
}
