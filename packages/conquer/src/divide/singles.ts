import type { TrainedImages } from './trainable.js';

/**
 * Takes an image out of its cluster (-1) if it is the only one of its class there: it could never be half of a
 * positive pair. Where pairs are given in the place of classes, if none of its pairs has the other image there.
 */
export function dropSingles(clusters: Int32Array, { labels, pairs }: TrainedImages): Int32Array {
  if (pairs) {
    const paired = new Set<number>();
    for (const [pair, first] of pairs.first.entries()) {
      const second = pairs.second[pair]!;
      if (clusters[first] === clusters[second]) paired.add(first).add(second);
    }
    return clusters.map((cluster, image) => (paired.has(image) ? cluster : -1));
  }
  const key = (image: number) => `${clusters[image]} ${labels[image]}`;
  const counts = new Map<string, number>();
  for (let image = 0; image < clusters.length; image++) {
    counts.set(key(image), (counts.get(key(image)) ?? 0) + 1);
  }
  return clusters.map((cluster, image) => (counts.get(key(image)) === 1 ? -1 : cluster));
}
