import type { Tensor } from '@conquer-dml/torch';
import type { KnownPairs } from './image-pairs.js';

/** What is known of rows before they are embedded. */
export interface Labelled {
  /** (N,), the class of each row. */
  labels: Int32Array;
  /** (N,), which image each row shows: an anchor and a reference row of one number are the same image, and no pair. */
  imageIds: Int32Array;
  /** All labels of each row, where an image may have several: two that share one are of one class. `labels` is not read then. */
  labelSets?: readonly Int32Array[] | undefined;
  /** Which images are alike, in the place of classes. `labels` is not read then. */
  similarity?: Similarity | undefined;
  /** Which images are the same and which different, by their ids, in the place of classes; most pairs are neither. */
  pairs?: KnownPairs | undefined;
}

/** Of all images that occur, by their ids. */
export interface Similarity {
  of(image: number, other: number): number;
  /** From which similarity on a pair is positive; below it is negative. */
  positiveFrom: number;
}

/** Of a matrix (N, N), row-major, of the images 0…N-1. */
export function similarityMatrix(values: ArrayLike<number>, positiveFrom = 0.5): Similarity {
  const size = Math.sqrt(values.length);
  return { of: (image, other) => values[image * size + other]!, positiveFrom };
}

/** Whether classes are told by one label an image. */
export const hasOneLabel = ({ labelSets, similarity, pairs }: Labelled) =>
  labelSets === undefined && similarity === undefined && pairs === undefined;

/** Whether an anchor and a reference row are of one class, or alike; null: nobody says. */
export function areAlike(
  anchors: Labelled,
  anchor: number,
  reference: Labelled,
  row: number,
): boolean | null {
  const { similarity, pairs } = anchors;
  if (pairs) return pairs.of(anchors.imageIds[anchor]!, reference.imageIds[row]!);
  if (similarity)
    return similarity.of(anchors.imageIds[anchor]!, reference.imageIds[row]!) >= similarity.positiveFrom;
  const [own, others] = [anchors.labelSets?.[anchor], reference.labelSets?.[row]];
  if (own && others) return own.some((label) => others.includes(label));
  return anchors.labels[anchor] === reference.labels[row];
}

/** Embeddings and whose they are: the anchors that a loss or miner looks from, or the reference set that it looks at. */
export interface Rows extends Labelled {
  /** (N, D), L2-normalised. */
  embeddings: Tensor;
  /** (N, D), as they were before; for a loss that asks for them, where the model gives them. */
  raw?: Tensor | undefined;
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
  if (!hasOneLabel(anchors)) return countAlike(anchors, reference);
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

function countAlike(anchors: Labelled, reference: Labelled): PairCounts {
  const size = anchors.imageIds.length;
  const counts = { positives: new Int32Array(size), negatives: new Int32Array(size) };
  if (anchors.pairs) {
    const known = anchors.pairs.among(anchors.imageIds, reference.imageIds);
    for (const anchor of known.positiveAnchors) counts.positives[anchor]!++;
    for (const anchor of known.negativeAnchors) counts.negatives[anchor]!++;
    return counts;
  }
  for (const [anchor, image] of anchors.imageIds.entries()) {
    for (const [row, other] of reference.imageIds.entries()) {
      if (image === other) continue;
      counts[areAlike(anchors, anchor, reference, row) ? 'positives' : 'negatives'][anchor]!++;
    }
  }
  return counts;
}

function countsOf(values: Int32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
