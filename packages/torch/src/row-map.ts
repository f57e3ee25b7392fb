import { native } from './binding.js';
import { attempt } from './error.js';
import type { Tensor } from './tensor.js';

/**
 * Makes approximate neighbours better by a look at the neighbours of those around each row (Dong, Charikar and Li 2011). float32
 * and int32 on the CPU; -1 stands for none.
 *
 * @param rows (N, D)
 * @param around (N, W) rows near each one, the nearest k first
 * @param indices (N, k) the nearest so far, which become nearer
 * @param squares (N, k) their squared Euclidean distances, ascending
 */
export function refineNeighbours(rows: Tensor, around: Tensor, indices: Tensor, squares: Tensor): void {
  attempt('refineNeighbours', () =>
    native.refineNeighbours(rows.handle, around.handle, indices.handle, squares.handle),
  );
}

/** A graph of N points: both directions of each pair, by the point that they begin at. */
export interface PointEdges {
  /** (N + 1) int32: the edges of point i are starts[i] to starts[i + 1] */
  starts: Tensor;
  /** (E) int32, the points that they lead to */
  ends: Tensor;
  /** (E) float32, above 0 and at most 1: the share of epochs that an edge is used in */
  weights: Tensor;
}

export interface LayOutStep {
  /** From 0; with it all chance of the step is drawn. */
  epoch: number;
  /** By how much points move. */
  rate: number;
  /** Of the curve 1 / (1 + a d^2b), how near two points at a distance d count as. */
  a: number;
  b: number;
}

/**
 * One epoch of UMAP's layout (McInnes, Healy and Melville 2018): each point moves along its edges, and away from five others that
 * are drawn for each, by where all of them were before. The same with any number of threads.
 *
 * @param points (N, 2) float32
 * @param next (N, 2) takes where they are then
 */
export function layOutEpoch(
  points: Tensor,
  next: Tensor,
  { starts, ends, weights }: PointEdges,
  { epoch, rate, a, b }: LayOutStep,
): void {
  attempt('layOutEpoch', () =>
    native.layOutEpoch(
      points.handle,
      next.handle,
      starts.handle,
      ends.handle,
      weights.handle,
      epoch,
      rate,
      a,
      b,
    ),
  );
}
