import { setImmediate as nextTurn } from 'node:timers/promises';
import { aten, layOutEpoch, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Neighbours } from '../neighbours/neighbours.js';
import { Random } from '../random.js';
import { checkStop, type StopCheck } from '../stop-check.js';
import { fuzzyEdges } from './fuzzy-edges.js';
import { nearRows } from './near-rows.js';
import { principalPlane } from './principal-plane.js';

/** Neighbours that the layout looks at; with the row itself these are UMAP's usual 15. */
const NEIGHBOURS = 14;
/** The curve 1 / (1 + a d^2b) that fits UMAP's usual min_dist 0.1 and spread 1. */
const CURVE = { a: 1.5769434603, b: 0.8950608779 };
/** The half of the square that the layout starts in. */
const START = 10;

export interface MapRowsOptions {
  /** Of these rows among each other, where they are known; else they are searched. */
  neighbours?: Neighbours | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Ends the work, with Interrupted. */
  stop?: StopCheck | undefined;
}

export interface RowMap {
  /** (N,) each; they fill −1 to 1 with one scale for both. */
  x: Float32Array;
  y: Float32Array;
}

/**
 * A map of rows in the plane, where rows that are near each other stay near: UMAP (McInnes, Healy and Melville 2018) with its usual
 * 15 neighbours, from the plane of the principal components. The same for the same rows, whatever the number of threads.
 *
 * @param rows float32 (N, D) on the CPU
 * @throws RangeError where a number is NaN or infinite; Interrupted after `stop`
 */
export async function mapRows(rows: Tensor, options: MapRowsOptions = {}): Promise<RowMap> {
  const { onProgress, stop } = options;
  const count = rows.size(0);
  if (!Number.isFinite(largestOf(rows)))
    throw new RangeError('a map: expected finite numbers, got NaN or infinity');
  // As so many rows of all. Searching takes about half of the time.
  const say = (share: number) => onProgress?.({ done: Math.floor(share * count), total: count });
  const k = Math.min(NEIGHBOURS, count - 1);
  let points = startOf(rows);
  try {
    if (k >= 2) {
      const near =
        options.neighbours && options.neighbours.k >= k
          ? firstOf(options.neighbours, k)
          : await nearRows(rows, k, { stop, onProgress: (share) => say(share / 2) });
      checkStop(stop);
      const epochs = epochsFor(count);
      const edges = fuzzyEdges(near, epochs);
      let next = scope(() => points.clone().keep());
      try {
        for (let epoch = 0; epoch < epochs; epoch++) {
          await nextTurn();
          checkStop(stop);
          layOutEpoch(points, next, edges, { epoch, rate: 1 - epoch / epochs, ...CURVE });
          [points, next] = [next, points];
          say(0.5 + (epoch + 1) / epochs / 2);
        }
      } finally {
        for (const held of [next, edges.starts, edges.ends, edges.weights]) held.dispose();
      }
    }
    say(1);
    return scaled(points.toTypedArray() as Float32Array);
  } finally {
    points.dispose();
  }
}

/** Its largest number, by size. */
const largestOf = (numbers: Tensor): number =>
  scope(() => aten.linalg_vector_norm(numbers, Number.POSITIVE_INFINITY).item());

/** As umap-learn's. */
const epochsFor = (rows: number): number => (rows <= 10_000 ? 500 : 200);

/** (N, 2): the plane of the principal components keeps what lies far apart far apart; noise keeps equal rows apart. */
function startOf(rows: Tensor): Tensor {
  return scope(() =>
    noGrad(() => {
      const plane = principalPlane(rows);
      const extent = Math.max(1e-9, largestOf(plane));
      const random = new Random(0);
      const noise = tensor(
        Float32Array.from({ length: plane.numel() }, () => random.uniform(-5e-4, 5e-4)),
        { shape: plane.shape },
      );
      return plane
        .mul(START / extent)
        .add(noise)
        .contiguous()
        .keep();
    }),
  );
}

/** The first k of each row's neighbours. */
function firstOf({ indices, distances, k: width }: Neighbours, k: number): Neighbours {
  if (width === k) return { indices, distances, k };
  const count = indices.length / width;
  const first = { k, indices: new Int32Array(count * k), distances: new Float32Array(count * k) };
  for (let row = 0; row < count; row++) {
    first.indices.set(indices.subarray(row * width, row * width + k), row * k);
    first.distances.set(distances.subarray(row * width, row * width + k), row * k);
  }
  return first;
}

function scaled(points: Float32Array): RowMap {
  const count = points.length / 2;
  const axes = [0, 1].map((axis) => {
    const values = new Float32Array(count);
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let i = 0; i < count; i++) {
      const value = points[2 * i + axis]!;
      values[i] = value;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return { values, middle: (low + high) / 2, extent: high - low };
  });
  const scale = 2 / Math.max(1e-9, ...axes.map(({ extent }) => extent));
  const [x, y] = axes.map(({ values, middle }) => values.map((value) => (value - middle) * scale));
  return { x: x!, y: y! };
}
