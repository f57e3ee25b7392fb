import { z } from 'zod';

/** How an experiment divides. Its field of the same name says what each option does. */
export const divisionOptions = z.strictObject({
  // A division into another number of clusters than before starts anew in any case.
  clustering: z
    .enum(['kmeans', 'adaptive-centroids'])
    .default('kmeans')
    .describe(
      'start k-means anew each time, or at the means that the clusters there are have in the present features',
    ),
  recluster: z
    .enum(['reassign', 'reset', 'random'])
    .default('reassign')
    .describe('learner of a new cluster: who has seen most of it, as k-means numbers them, or any'),
  // By class, all positive pairs of a class go to one learner.
  clusterBy: z
    .enum(['image', 'class'])
    .default('image')
    .describe(
      'cluster images, or whole classes by the mean of their features: all images of a class to one learner',
    ),
  // 256, which is faiss's, leave the objective a little higher: docs/LOG.md has the numbers.
  clusterSample: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe(
      'find the clusters among so many random images for each of them, and put the others to the nearest; null: among all',
    ),
});

/** What is clustered: see `divisionOptions`. */
export type ClusterBy = z.output<typeof divisionOptions>['clusterBy'];
