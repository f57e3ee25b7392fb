import type { Tensor } from '@conquer-dml/torch';

/** What is known of rows before they are embedded. */
export interface Labelled {
  /** (N,), the class of each row. */
  labels: Int32Array;
  /** (N,), which image each row shows: an anchor and a reference row of one number are the same image, and no pair. */
  imageIds: Int32Array;
}

/** Embeddings and whose they are: the anchors that a loss or miner looks from, or the reference set that it looks at. */
export interface Rows extends Labelled {
  /** (N, D), L2-normalised. */
  embeddings: Tensor;
}

/** Labels of a batch, each row an image of its own. */
export function labelled(labels: Int32Array): Labelled {
  return { labels, imageIds: labels.map((_, row) => row) };
}

/** A batch, each row an image of its own: anchors, and their reference set too where there is no larger one. */
export function batchRows(embeddings: Tensor, labels: Int32Array): Rows {
  return { embeddings, ...labelled(labels) };
}

/** How many rows of a reference set are of each anchor's class, without its own image, and how many of others: (A,). */
export interface PairCounts {
  positives: Int32Array;
  negatives: Int32Array;
}

export function countPairs(anchors: Labelled, reference: Labelled): PairCounts {
  const ofClass = countsOf(reference.labels);
  const ofImage = countsOf(reference.imageIds);
  const size = reference.labels.length;
  return {
    positives: anchors.labels.map(
      (label, anchor) => (ofClass.get(label) ?? 0) - (ofImage.get(anchors.imageIds[anchor]!) ?? 0),
    ),
    negatives: anchors.labels.map((label) => size - (ofClass.get(label) ?? 0)),
  };
}

function countsOf(values: Int32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
