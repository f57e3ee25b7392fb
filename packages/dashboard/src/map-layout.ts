import { UMAP } from 'umap-js';
import { type Nearest, nearestOfAll } from './nearest.js';
import { randomNumbers } from './retrieval.js';

/** UMAP's usual number of neighbours; the point itself is one of them. */
export const MAP_NEIGHBOURS = 15;

export interface MapTask {
  n: number;
  /** Known neighbours, at least min(MAP_NEIGHBOURS - 1, n - 1) of each point; else they are searched in `vectors`. */
  nearest: (Nearest & { depth: number }) | null;
  /** (N, D) of length 1. */
  vectors: Float32Array | null;
}

export interface MapLayout {
  x: Float32Array;
  y: Float32Array;
}

/** The 2-D UMAP of N points, scaled so that it fills -1 to 1 with one scale for both axes. The same every time. */
export function layOut(task: MapTask, progress: (share: number) => void): MapLayout {
  const { n, vectors } = task;
  // Too few to have a neighbourhood: a row.
  if (n < 5)
    return {
      x: Float32Array.from({ length: n }, (_, i) => (n > 1 ? (2 * i) / (n - 1) - 1 : 0)),
      y: new Float32Array(n),
    };
  const neighbours = Math.min(MAP_NEIGHBOURS, n - 1);
  const searchShare = task.nearest ? 0 : 0.4;
  const nearest =
    task.nearest ??
    (vectors && {
      ...nearestOfAll(vectors, vectors.length / n, neighbours - 1, (share) => progress(searchShare * share)),
      depth: neighbours - 1,
    });
  if (!nearest) throw new Error('a map needs neighbours, or vectors to search them in');

  const umap = new UMAP({ nNeighbors: neighbours, nEpochs: epochsFor(n), random: randomNumbers(1) });
  const rows = (values: Int32Array | Float32Array, own: (point: number) => number) =>
    Array.from({ length: n }, (_, point) => [
      own(point),
      ...values.subarray(point * nearest.depth, point * nearest.depth + neighbours - 1),
    ]);
  umap.setPrecomputedKNN(
    rows(nearest.indices, (point) => point),
    rows(nearest.distances, () => 0),
  );
  // With the neighbours given, only the number of points counts.
  const epochs = umap.initializeFit(Array.from({ length: n }, () => []));
  for (let epoch = 0; epoch < epochs; epoch++) {
    umap.step();
    if (epoch % 5 === 0) progress(searchShare + (1 - searchShare) * (epoch / epochs));
  }
  return scaled(umap.getEmbedding());
}

/** As umap-learn's, fewer for tens of thousands of points: they take a minute as it is. */
function epochsFor(n: number): number {
  if (n <= 10_000) return 500;
  return n <= 30_000 ? 200 : 100;
}

function scaled(points: number[][]): MapLayout {
  const bounds = [0, 1].map((axis) => {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (const point of points) {
      low = Math.min(low, point[axis] as number);
      high = Math.max(high, point[axis] as number);
    }
    return { middle: (low + high) / 2, extent: high - low };
  });
  const scale = 2 / Math.max(1e-9, ...bounds.map(({ extent }) => extent));
  const axis = (i: number) =>
    Float32Array.from(points, (point) => ((point[i] as number) - (bounds[i]?.middle ?? 0)) * scale);
  return { x: axis(0), y: axis(1) };
}
