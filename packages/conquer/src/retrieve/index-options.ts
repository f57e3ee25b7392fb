import type { Embedder } from './embedder.js';
import type { RefineOptions } from './refine.js';

export interface OpenIndexOptions {
  /** Where the folder of images is now; by default where it was, or where it lies as seen from the index. */
  folder?: string | undefined;
}

export interface IndexSearchOptions extends RefineOptions {
  /** 'item' (default): each item once, by its nearest image; 'image': each image for itself. */
  per?: 'item' | 'image' | undefined;
  /**
   * Matches that may be of something else are left out: those that are less similar than the index's calibration asks for at this
   * false-match rate (of pairs of different classes, so many would be taken for one). No match is an answer. Default: all are given.
   */
  maxFalseMatch?: number | undefined;
  /**
   * Looks at few of the rows, by the index's graph; some of the nearest may be missed, those that are found have their exact
   * similarity. Default false: all rows are looked at.
   */
  approximate?: boolean | undefined;
  /** What embedded the queries, to be sure of it. */
  embedder?: Pick<Embedder, 'id' | 'view' | 'source'> | undefined;
}

export interface SaveIndexOptions {
  /** All rows into one segment, without what was removed. Default false: what has changed is written. */
  compact?: boolean;
  /** The right to write there, where the caller has it already (`ImageIndex.lock`). */
  lock?: IndexLock | undefined;
}

/** The right to write an index, until it is disposed. */
export interface IndexLock {
  readonly path: string;
  [Symbol.dispose](): void;
}
