import type { Tensor } from '@conquer/torch';
import type { Compat } from '../compat.js';
import type { MiningBounds } from '../mining-bounds.js';
import type { AnyPart } from '../part.js';
import type { Random } from '../random.js';
import type { Tuples } from '../tuples.js';

/**
 * Chooses what a batch trains on. A miner reads distances only; no gradient flows through it.
 *
 * An anchor without a valid positive or negative is skipped. A batch without any valid tuple gives three
 * empty arrays: the caller says so and goes on to the next batch.
 */
export interface Miner {
  /**
   * @param embeddings (B, D), L2-normalised
   * @param labels (B,), the class of each row
   * @returns tuples of rows of the batch, without any tensor
   * @throws UserError for labels that are no Int32Array of B
   * @throws Error if an embedding is NaN or infinite
   */
  mine(embeddings: Tensor, labels: Int32Array): Tuples;
}

/** What is known when an experiment's miner is built. */
export interface MinerContext {
  /** The one that takes the tuples. Names that both would use, such as the margin, are its own: it is asked. */
  loss: MiningBounds;
  /** Draws what is drawn. */
  random: Random;
  compat: Compat | null;
}

/** A miner as an experiment names it. */
export type MinerPart = AnyPart<MinerContext, Miner>;
