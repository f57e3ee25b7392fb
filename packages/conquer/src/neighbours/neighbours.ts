import type { StopCheck } from '../stop-check.js';

export interface NearestOptions {
  /**
   * Queries at a time; default 2,048 on the CPU in float32, else as many as keep a block of distances small.
   */
  blockSize?: number;
  /**
   * By default all k come in order, with exact distances. With this only the first `first` come in order; behind them it is
   * exact which are among the first so many, for each of `cuts` and for k. Distances are then good to about 1e-3 of the
   * largest. It saves most of the time for a large k.
   */
  order?: { first: number; cuts: readonly number[] };
  /** Told while the work is under way, as so many queries of all; on the CPU in float32 also before the first is done. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

export interface Neighbours {
  /** How many neighbours each query has: k, or fewer if the gallery is smaller. */
  k: number;
  /** (N × k) row-major, positions in the gallery, nearest first; of equally near ones the lower first. */
  indices: Int32Array;
  /** (N × k), Euclidean unless said otherwise. */
  distances: Float32Array;
}

/** The neighbours of the queries start, start + 1, … */
export interface NeighbourBlock extends Neighbours {
  start: number;
  count: number;
}
