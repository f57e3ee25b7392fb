import { type Generator, nn, type Tensor, tensor } from '@conquer-dml/torch';
import type { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import type { Compat } from '../compat.js';
import { type Cutoff, type MiningBounds, usualBounds } from '../mining-bounds.js';
import type { Ball } from '../neighbours/poincare.js';
import type { AnyPart, Part } from '../part.js';
import { batchRows, type Labelled, type Rows } from '../rows.js';
import { asTuples, countOf, type Mined, type Pairs, type Tuples } from '../tuples.js';

/**
 * A metric loss: of anchors, compared with a reference set. The set is the batch itself, what a memory keeps of earlier
 * batches, or the rows of all processes; whatever of it was computed with a gradient gets one. What it learns itself (boundaries, class weights) are its parameters; they are saved with the
 * checkpoint and have a learning rate of their own.
 */
export abstract class Loss extends nn.Module implements MiningBounds {
  /** Whether it needs a miner's tuples; if not it reads the whole batch. */
  abstract readonly usesTuples: boolean;
  /**
   * Whether it compares the anchors with the reference set. A loss that does not, as of class weights, is the same
   * whatever the set, so that a memory is of no use to it.
   */
  abstract readonly usesReference: boolean;
  /** What it takes of a miner: whole tuples, or pairs of each kind on their own, or whichever there is. */
  get takes(): 'tuples' | 'pairs' | 'either' {
    return 'tuples';
  }
  /**
   * The Poincaré ball in which it compares embeddings of any length; evaluation then ranks by distances in it. null: the angle between
   * embeddings ranks them.
   */
  get ball(): Ball | null {
    return null;
  }
  /** Whether images may have several labels each, or a similarity may be given in their place; if not, both are refused. */
  get takesSeveralLabels(): boolean {
    return false;
  }

  /**
   * Whether it may be told which pairs of images are the same and which different, of most nothing, in the place of classes; if not,
   * that is refused.
   */
  get takesKnownPairs(): boolean {
    return false;
  }

  /**
   * @param anchors the mean is over these, or over pairs and tuples that begin with them; for a loss with something to
   *   learn for each class, their labels are 0..numClasses-1
   * @param reference what they are compared with: the same object where that is the batch itself
   * @param mined from a miner, at least one; null for a loss that does not use them
   * @returns a scalar (), differentiable, which belongs to the caller
   * @throws UserError for labels that are no Int32Array of as many as there are rows, or none of the loss's classes
   * @throws Error if there is nothing to compute a loss from: ask `hasEnough` (or count the tuples) first
   */
  abstract forward(anchors: Rows, reference: Rows, mined: Mined | null): Tensor;

  /** Of a batch (B, D) compared with itself, each row an image of its own, and its labels (B,). */
  ofBatch(embeddings: Tensor, labels: Int32Array, mined: Mined | null = null): Tensor {
    const batch = batchRows(embeddings, labels);
    return this.forward(batch, batch, mined);
  }

  /** Whether anchors of these labels can have a loss at all. If not, the batch is to be skipped and reported. */
  hasEnough(anchors: Labelled, _reference: Labelled): boolean {
    return anchors.labels.length > 0;
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

/** What is to be known of a loss before it is built. Of one of somebody's own that does not say it, all is thought possible. */
export interface LossFacts {
  /** As its class has it. */
  readonly usesTuples?: boolean;
  /** Whether it has parameters of its own. */
  readonly learns?: boolean;
}

/** What a loss of the list has to say. */
type KnownFacts = LossFacts & Required<Pick<LossFacts, 'usesTuples' | 'learns'>>;

/** A loss as an experiment names it. */
export interface LossPart extends AnyPart<LossContext, Loss>, LossFacts {}

/** Defines one. */
export function lossPart<const Name extends string, Shape extends z.ZodRawShape, Built extends Loss>(
  definition: Part<Name, Shape, LossContext, Built> & KnownFacts,
): Part<Name, Shape, LossContext, Built> & KnownFacts {
  return definition;
}

/**
 * The pairs that are known of anchors and reference rows.
 *
 * @throws Error where nothing is known of them
 * @throws UserError for labels that do not belong to the embeddings, see checkPair
 */
export function knownPairs(loss: string, anchors: Rows, reference: Rows): Pairs {
  checkPair(`${loss} loss`, anchors, reference, true, true);
  const known = anchors.pairs?.among(anchors.imageIds, reference.imageIds);
  if (!known || countOf(known) === 0)
    throw new Error(`${loss} loss: expected at least one known pair, got none; skip batches without`);
  return known;
}

/**
 * What was mined, as tuples.
 *
 * @throws Error without any
 * @throws UserError for labels that do not belong to the embeddings, see checkPair
 */
export function minedTuples(loss: string, anchors: Rows, reference: Rows, mined: Mined | null): Tuples {
  checkPair(`${loss} loss`, anchors, reference, true);
  const tuples = mined && asTuples(mined);
  if (!tuples || tuples.anchors.length === 0) {
    throw new Error(`${loss} loss: expected at least one tuple, got none; skip batches without tuples`);
  }
  return tuples;
}

/** The embeddings (T, D) of the three images of each tuple. */
export interface TupleEmbeddings {
  anchors: Tensor;
  positives: Tensor;
  negatives: Tensor;
}

/** The rows of what was mined. @throws as minedTuples does */
export function selectTuples(
  loss: string,
  anchors: Rows,
  reference: Rows,
  mined: Mined | null,
): TupleEmbeddings {
  const tuples = minedTuples(loss, anchors, reference, mined);
  const select = ({ embeddings }: Rows, rows: Int32Array) =>
    embeddings.indexSelect(0, tensor(rows, { dtype: 'int64', device: embeddings.device }));
  return {
    anchors: select(anchors, tuples.anchors),
    positives: select(reference, tuples.positives),
    negatives: select(reference, tuples.negatives),
  };
}
