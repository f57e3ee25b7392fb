import { munkres } from 'munkres';
import type { Compat } from '../compat.js';

export interface Reassigned {
  /** (N,) the new clusters under the numbers of the old ones they resemble; -1 stays -1. */
  clusters: Int32Array;
  /** (K × K) row-major, row = new cluster, column = old cluster: |new| + |old| - 2 |new ∩ old|. */
  costs: Float64Array;
}

/**
 * Renumbers the new clusters so that each goes to the learner that has seen most of it: the assignment with
 * the least total L1 distance between the indicator vectors of new and old clusters (Hungarian algorithm), as
 * in the papers.
 *
 * @param previous (N,) 0..numClusters-1, or -1 for images that were in no cluster
 * @param current (N,) likewise
 * @param numClusters K
 * @param options.compat 'dcesml' applies the inverse of the optimal permutation, as that code does; from
 *   three clusters on the two can differ
 * @throws RangeError if the lengths differ
 */
export function reassignClusters(
  previous: Int32Array,
  current: Int32Array,
  numClusters: number,
  options: { compat?: Compat | null | undefined } = {},
): Reassigned {
  const costs = reassignmentCosts(previous, current, numClusters);
  const matrix = Array.from({ length: numClusters }, (_, row) =>
    costs.subarray(row * numClusters, (row + 1) * numClusters),
  );
  const renamed = new Int32Array(numClusters);
  for (const [row, column] of munkres(matrix)) {
    if (options.compat === 'dcesml') renamed[column] = row;
    else renamed[row] = column;
  }
  return { clusters: current.map((cluster) => (cluster === -1 ? -1 : (renamed[cluster] as number))), costs };
}

function reassignmentCosts(previous: Int32Array, current: Int32Array, numClusters: number): Float64Array {
  if (previous.length !== current.length) {
    throw new RangeError(
      `reassign: expected as many old as new clusters, got ${previous.length}, ${current.length}`,
    );
  }
  const costs = new Float64Array(numClusters * numClusters);
  const raise = (row: number, column: number, by: number) => {
    const at = row * numClusters + column;
    costs[at] = (costs[at] as number) + by;
  };
  for (let image = 0; image < current.length; image++) {
    const row = current[image] as number;
    const column = previous[image] as number;
    for (let other = 0; other < numClusters; other++) {
      if (row !== -1) raise(row, other, 1);
      if (column !== -1) raise(other, column, 1);
    }
    if (row !== -1 && column !== -1) raise(row, column, -2);
  }
  return costs;
}
