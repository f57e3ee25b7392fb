import { type Generator, nn, type Tensor, tensor } from '@conquer/torch';
import { checkBatch } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import { type Cutoff, type MiningBounds, usualBounds } from '../mining-bounds.js';
import type { AnyPart } from '../part.js';
import type { Tuples } from '../tuples.js';

/**
 * A metric loss. What it learns itself (boundaries, class weights) are its parameters; they are saved with the
 * checkpoint and have a learning rate of their own.
 */
export abstract class Loss extends nn.Module implements MiningBounds {
  /** Whether it needs a miner's tuples; if not it reads the whole batch. */
  abstract readonly usesTuples: boolean;

  /**
   * @param embeddings (B, D), L2-normalised
   * @param labels (B,), the class of each row; for a loss with something to learn for each class,
   *   0..numClasses-1
   * @param tuples from a miner, at least one; null for a loss that does not use them
   * @returns a scalar (), differentiable, which belongs to the caller
   * @throws UserError for labels that are no Int32Array of B, or none of the loss's classes
   * @throws Error if there is nothing to compute a loss from: ask `hasEnough` (or count the tuples) first
   */
  abstract forward(embeddings: Tensor, labels: Int32Array, tuples: Tuples | null): Tensor;

  /** Whether a batch of these labels can have a loss at all. If not, it is to be skipped and reported. */
  hasEnough(labels: Int32Array): boolean {
    return labels.length > 0;
  }

  zeroLossDistance(): Cutoff {
    return usualBounds.zeroLossDistance();
  }

  semihardMargin(): number {
    return usualBounds.semihardMargin();
  }
}

/** What a loss with class weights or proxies has to know. */
export interface ClassWeightsContext {
  /** Of the training data. */
  numClasses: number;
  /** D. */
  embeddingDim: number;
  /** Draws the weights; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/** What is known when an experiment's loss is built: the data and the model. */
export interface LossContext extends ClassWeightsContext {
  compat: Compat | null;
}

/** A loss as an experiment names it. */
export type LossPart = AnyPart<LossContext, Loss>;

/** The embeddings (T, D) of the three images of each tuple. */
export interface TupleEmbeddings {
  anchors: Tensor;
  positives: Tensor;
  negatives: Tensor;
}

/**
 * @throws Error without any tuple
 * @throws UserError for labels that do not belong to the embeddings, see checkBatch
 */
export function selectTuples(
  loss: string,
  embeddings: Tensor,
  labels: Int32Array,
  tuples: Tuples | null,
): TupleEmbeddings {
  checkBatch(`${loss} loss`, embeddings, labels);
  if (!tuples || tuples.anchors.length === 0) {
    throw new Error(`${loss} loss: expected at least one tuple, got none; skip batches without tuples`);
  }
  const select = (indices: Int32Array) =>
    embeddings.indexSelect(0, tensor(indices, { dtype: 'int64', device: embeddings.device }));
  return {
    anchors: select(tuples.anchors),
    positives: select(tuples.positives),
    negatives: select(tuples.negatives),
  };
}
