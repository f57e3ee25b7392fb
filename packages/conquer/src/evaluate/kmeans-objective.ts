import type { ClusterMetric } from './metric.js';

export const kMeansObjective: ClusterMetric = {
  names: () => ['k-means'],
  help: "objective of NMI's k-means: mean squared distance of an image to its centroid; of two runs of a k-means the lower is the better clustering",
  divisor: 'the images',
  others: "faiss's obj and scikit-learn's inertia_ are the sum",
  shown: 'plain',
  when: 'all',
  chooses: false,
  of: 'clusters',
  measure: (classes, { objective }) => objective / classes.length,
};
