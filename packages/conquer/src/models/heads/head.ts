import { type Generator, nn, type Tensor } from '@conquer-dml/torch';
import type { AnyPart } from '../../part.js';

/** What is known when a head is built. */
export interface HeadShape {
  /** Width of the features, F. */
  featureSize: number;
  /** D. */
  embeddingDim: number;
  /** Draws its weights; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
}

/**
 * What turns pooled features (B, F) into the embedding (B, D), in front of the learners' masks and the change to
 * length 1. The names of its tensors stand in state dicts without a prefix: `embedding` for the last linear layer,
 * others begin with `head_`.
 */
export abstract class Head extends nn.Module {
  /** The linear layer that gives the embedding: its rows are the embedding's dimensions. */
  abstract readonly embedding: nn.Linear;

  /** Features (B, F) to (B, D), which belong to the caller. */
  abstract forward(features: Tensor): Tensor;
}

/** Makes a head; it belongs to the caller. */
export type HeadBuilder = (shape: HeadShape) => Head;

/** A head as an experiment names it. It needs to know nothing of the experiment but its model's shape. */
export type HeadPart = AnyPart<unknown, HeadBuilder>;
