import { type Nearest, nearestOfAll } from './nearest.js';
import { principalPlane } from './principal.js';
import { randomNumbers } from './random-numbers.js';
import { layOutByUmap } from './umap.js';

/** Neighbours that the layout looks at; with the point itself these are UMAP's usual 15. */
const NEIGHBOURS = 14;
/** Shares of the time: searching neighbours, laying out. */
const SEARCH = 0.4;

export interface MapTask {
  /** (N, D) of length 1. */
  vectors: Float32Array;
  dim: number;
  /** Neighbours in a space like that of `vectors`, to begin the search with; `exact`: they are those of `vectors`. */
  known: (Nearest & { depth: number; exact: boolean }) | null;
}

export interface MapLayout {
  x: Float32Array;
  y: Float32Array;
}

/** The 2-D UMAP of N points, scaled so that it fills -1 to 1 with one scale for both axes. The same every time. */
export function layOut({ vectors, dim, known }: MapTask, progress: (share: number) => void): MapLayout {
  if (!vectors.every(Number.isFinite)) throw new Error('a number of the embeddings is NaN or infinite');
  const n = vectors.length / dim;
  const random = randomNumbers(1);
  const depth = Math.min(NEIGHBOURS, n - 1);
  // The plane of the principal components keeps what lies far apart far apart; noise keeps equal points apart.
  const points = principalPlane(vectors, dim, random);
  const extent = points.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  for (let i = 0; i < points.length; i++)
    points[i] = (10 * (points[i] as number)) / extent + 1e-3 * (random() - 0.5);
  if (depth >= 2) {
    const nearest =
      known?.exact && known.depth >= depth
        ? firstOf(known, depth)
        : nearestOfAll(vectors, dim, depth, known, (share) => progress(SEARCH * share));
    const epochs = epochsFor(n);
    layOutByUmap({
      nearest,
      depth,
      points,
      epochs,
      random,
      progress: (share) => progress(SEARCH + (1 - SEARCH) * share),
    });
  }
  return scaled(points);
}

/** As umap-learn's. */
const epochsFor = (n: number): number => (n <= 10_000 ? 500 : 200);

/** The first so many of each point's neighbours. */
function firstOf({ indices, distances, depth }: Nearest & { depth: number }, count: number): Nearest {
  const pick = (_: unknown, at: number) => Math.floor(at / count) * depth + (at % count);
  const length = (indices.length / depth) * count;
  return {
    indices: Int32Array.from({ length }, (_, at) => indices[pick(_, at)] as number),
    distances: Float32Array.from({ length }, (_, at) => distances[pick(_, at)] as number),
  };
}

function scaled(points: Float32Array): MapLayout {
  const n = points.length / 2;
  const axes = [0, 1].map((axis) =>
    Float32Array.from({ length: n }, (_, i) => points[2 * i + axis] as number),
  );
  const bounds = axes.map((values) => {
    const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
    const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    return { middle: (low + high) / 2, extent: high - low };
  });
  const scale = 2 / Math.max(1e-9, ...bounds.map(({ extent }) => extent));
  const [x, y] = axes.map((values, axis) =>
    values.map((value) => (value - (bounds[axis]?.middle ?? 0)) * scale),
  ) as [Float32Array, Float32Array];
  return { x, y };
}
