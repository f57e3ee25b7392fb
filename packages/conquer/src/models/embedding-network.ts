import type { Preprocessing } from '@conquer-dml/run';
import type { nn, Tensor } from '@conquer-dml/torch';

export interface EmbedOptions {
  /** Apply this learner's mask, 0..numLearners-1. Default null: the whole embedding. */
  learner?: number | null;
}

/** A network whose rows stand for images: trained here, or as somebody published it. */
export interface EmbeddingNetwork extends nn.Module {
  /** What it is given of an image that nothing is drawn for. */
  readonly view: Preprocessing;
  /** D. */
  readonly embeddingDim: number;
  /** Width of the penultimate features, F. */
  readonly featureSize: number;
  /** Images (B, 3, H, W) to embeddings (B, D), each row of length 1, which belong to the caller. */
  embed(images: Tensor, options?: EmbedOptions): Tensor;
  /**
   * As embed(), before rows are scaled to length 1, for a loss whose distances know lengths (`Loss.ball`). A network without it is one
   * of unit rows.
   */
  embedUnscaled?(images: Tensor, options?: EmbedOptions): Tensor;
  /** Images (B, 3, H, W) to the penultimate features (B, F), each row of length 1, which belong to the caller. */
  features(images: Tensor): Tensor;
}
