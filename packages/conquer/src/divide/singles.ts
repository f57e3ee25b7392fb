/**
 * Takes an image out of its cluster (-1) if it is the only one of its class there: it could never be half of a
 * positive pair.
 */
export function dropSingles(clusters: Int32Array, labels: Int32Array): Int32Array {
  const key = (image: number) => `${clusters[image]} ${labels[image]}`;
  const counts = new Map<string, number>();
  for (let image = 0; image < clusters.length; image++) {
    counts.set(key(image), (counts.get(key(image)) ?? 0) + 1);
  }
  return clusters.map((cluster, image) => (counts.get(key(image)) === 1 ? -1 : cluster));
}
