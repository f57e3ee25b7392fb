/**
 * Whether every cluster can train: it holds at least two classes with at least two images each, so that there
 * are positives and negatives.
 *
 * @param clusters (N,), -1: in none
 */
export function enoughToTrain(clusters: Int32Array, labels: Int32Array, numClusters: number): boolean {
  const counts = Array.from({ length: numClusters }, () => new Map<number, number>());
  const pairedClasses = new Int32Array(numClusters);
  for (let image = 0; image < clusters.length; image++) {
    const cluster = clusters[image] as number;
    if (cluster === -1) continue;
    const label = labels[image] as number;
    const ofCluster = counts[cluster] as Map<number, number>;
    const count = (ofCluster.get(label) ?? 0) + 1;
    ofCluster.set(label, count);
    if (count === 2) pairedClasses[cluster] = (pairedClasses[cluster] as number) + 1;
  }
  return pairedClasses.every((count) => count >= 2);
}
