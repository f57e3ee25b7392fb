// The mask chosen by the query: how near a query is to each learner's cluster says how much that learner's mask counts. The index, rows under no
// mask, stays as it is.
import { F, noGrad, scope, stack, tensor } from '@conquer-dml/torch';

/** How soft the assignment is: cosines are divided by it. */
const TEMPERATURE = 0.1;

/**
 * Mean directions of the clusters.
 *
 * @param rows (N, D) of length 1, of the training images
 * @param clusters (N,) the learner of each
 * @returns (K, D), which belong to the caller
 */
export function centresOf(rows, clusters, numClusters) {
  return scope(() =>
    noGrad(() => {
      const means = Array.from({ length: numClusters }, (_, k) => {
        const places = Int32Array.from(clusters.keys()).filter((at) => clusters[at] === k);
        return rows.indexSelect(0, tensor(places, { dtype: 'int64' })).mean(0);
      });
      return F.normalize(stack(means));
    }),
  );
}

/**
 * Queries under the mean of the learners' masks, weighed by softmax(cosine to the cluster / 0.1), of length 1 again.
 *
 * @param rows (Q, D) of length 1; @param centres (K, D); @param masks (K, D)
 * @returns (Q, D), which belong to the caller
 */
export function maskedQueries(rows, centres, masks) {
  return scope(() =>
    noGrad(() => {
      const weights = F.softmax(rows.matmul(centres.t()).div(TEMPERATURE), 1);
      return F.normalize(rows.mul(weights.matmul(masks)));
    }),
  );
}
