import type { Compat } from '../compat.js';
import type { MiningBounds } from '../mining-bounds.js';
import type { AnyPart } from '../part.js';
import type { Random } from '../random.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';

/**
 * Chooses what a batch trains on: for its anchors, positives and negatives of a reference set, which is the batch itself,
 * or what a memory keeps, or the rows of all processes. A miner reads distances only; no gradient flows through it.
 *
 * An anchor without a valid positive or negative is skipped. A batch without any valid tuple gives three
 * empty arrays: the caller says so and goes on to the next batch.
 */
export interface Miner {
  /**
   * @param reference what the anchors are compared with: the same object where that is the batch itself
   * @returns tuples or pairs, without any tensor: rows of the anchors, and rows of the reference set
   * @throws UserError for labels that are no Int32Array of as many as there are rows
   * @throws Error if an embedding is NaN or infinite
   */
  mine(anchors: Rows, reference: Rows): Mined;
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
