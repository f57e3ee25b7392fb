import { randomNumbers } from './retrieval.js';

/** Up to so many points, every pair is compared. */
const EXACT = 4000;
/** Candidates that are looked at for each point: a collapsed embedding has all of its points in one cell. */
const MAX_CANDIDATES = 20_000;
/** Cells that are looked into for each point; 10 of √N find nearly all of the nearest 15. */
const PROBES = 10;

export interface Nearest {
  /** (N, k) nearest first, the point itself left out. */
  indices: Int32Array;
  /** (N, k) Euclidean. */
  distances: Float32Array;
}

/**
 * The k nearest neighbours of each of N vectors of length 1. Beyond a few thousand points only those in the
 * nearest cells are looked at (√N cells around vectors drawn at random), so that a few are missed.
 *
 * @param vectors (N, D)
 */
export function nearestOfAll(
  vectors: Float32Array,
  dim: number,
  k: number,
  progress: (share: number) => void = () => {},
): Nearest {
  const n = vectors.length / dim;
  const numCells = n <= EXACT ? 1 : Math.round(Math.sqrt(n));
  const centres = numCells === 1 ? [0] : drawn(n, numCells);
  const cells: number[][] = centres.map(() => []);
  const order = Array.from({ length: n }, (_, point) => {
    const near = nearestCells(vectors, dim, point, centres, Math.min(PROBES, numCells));
    cells[near[0] as number]?.push(point);
    return near;
  });
  const indices = new Int32Array(n * k).fill(-1);
  const distances = new Float32Array(n * k).fill(Number.POSITIVE_INFINITY);
  for (let point = 0; point < n; point++) {
    const from = point * k;
    let candidates = 0;
    for (const cell of order[point] as number[]) {
      for (const other of cells[cell] as number[]) {
        if (other === point) continue;
        if (candidates++ > MAX_CANDIDATES) break;
        const distance = 2 - 2 * dotProduct(vectors, dim, point, other);
        if (!(distance < (distances[from + k - 1] as number))) continue;
        let at = from + k - 1;
        while (at > from && (distances[at - 1] as number) > distance) {
          distances[at] = distances[at - 1] as number;
          indices[at] = indices[at - 1] as number;
          at--;
        }
        distances[at] = distance;
        indices[at] = other;
      }
    }
    // Where fewer than k were found, the last one stands for the rest.
    for (let at = from; at < from + k; at++) {
      if (indices[at] !== -1) continue;
      indices[at] = at > from ? (indices[at - 1] as number) : point;
      distances[at] = at > from ? (distances[at - 1] as number) : 0;
    }
    if (point % 500 === 0) progress(point / n);
  }
  for (let i = 0; i < distances.length; i++) distances[i] = Math.sqrt(Math.max(0, distances[i] as number));
  return { indices, distances };
}

function drawn(n: number, count: number): number[] {
  const random = randomNumbers(1);
  const points = new Set<number>();
  while (points.size < count) points.add(Math.floor(random() * n));
  return [...points];
}

function nearestCells(
  vectors: Float32Array,
  dim: number,
  point: number,
  centres: readonly number[],
  count: number,
): number[] {
  const products = centres.map((centre) => dotProduct(vectors, dim, point, centre));
  const cells = Array.from(centres.keys());
  return cells.sort((a, b) => (products[b] as number) - (products[a] as number)).slice(0, count);
}

function dotProduct(vectors: Float32Array, dim: number, a: number, b: number): number {
  let sum = 0;
  const startA = a * dim;
  const startB = b * dim;
  for (let d = 0; d < dim; d++) sum += (vectors[startA + d] as number) * (vectors[startB + d] as number);
  return sum;
}
