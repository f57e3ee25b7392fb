import { randomNumbers } from './random-numbers.js';

/** Up to so many points, every pair is compared. */
const EXACT = 4000;
/** Cells that are looked into for a first guess at each point's neighbours, and points of one that are looked at. */
const PROBES = 3;
const MAX_CELL = 2000;
/** Times that the neighbours' neighbours are looked at: NN-descent (Dong, Moses and Li, 2011). */
const ROUNDS = 3;

export interface Nearest {
  /** (N, k) nearest first, the point itself left out. */
  indices: Int32Array;
  /** (N, k) Euclidean. */
  distances: Float32Array;
}

/**
 * The k nearest neighbours of each of N vectors of length 1. Beyond a few thousand points they are searched among
 * the neighbours of known neighbours, so that a few are missed.
 *
 * @param vectors (N, D)
 * @param known neighbours of the same points in a space like this one; without them, a first guess is made
 */
export function nearestOfAll(
  vectors: Float32Array,
  dim: number,
  k: number,
  known: (Nearest & { depth: number }) | null = null,
  progress: (share: number) => void = () => {},
): Nearest {
  const n = vectors.length / dim;
  let lists = new NearestLists(vectors, dim, k);
  const each = (look: (point: number) => void, from: number, to: number) => {
    for (let point = 0; point < n; point++) {
      look(point);
      if (point % 500 === 0) progress(from + (to - from) * (point / n));
    }
  };
  if (n <= EXACT) {
    const all = Int32Array.from({ length: n }, (_, point) => point);
    each((point) => lists.consider(point, all), 0, 1);
    return lists.result();
  }
  if (known) {
    const { indices, depth } = known;
    each((point) => lists.consider(point, indices.subarray(point * depth, (point + 1) * depth)), 0, 0.1);
  } else {
    const cellsOf = cellFinder(vectors, dim);
    const near = Array.from({ length: n }, (_, point) => cellsOf(point));
    const cells = new Map<number, number[]>();
    for (const [point, [cell = 0]] of near.entries()) {
      const members = cells.get(cell) ?? [];
      cells.set(cell, members);
      if (members.length < MAX_CELL) members.push(point);
    }
    const members = (point: number) => near[point]?.flatMap((cell) => cells.get(cell) ?? []) ?? [];
    each((point) => lists.consider(point, members(point)), 0, 0.4);
  }
  const start = known ? 0.1 : 0.4;
  for (let round = 0; round < ROUNDS; round++) {
    const before = lists;
    const around = before.both();
    lists = new NearestLists(vectors, dim, k);
    const buffer = new Int32Array(2 * k * (2 * k + 1));
    const candidates = (point: number) => {
      let count = 0;
      for (const near of around(point)) {
        buffer[count++] = near;
        buffer.set(around(near), count);
        count += around(near).length;
      }
      return buffer.subarray(0, count);
    };
    const share = (1 - start) / ROUNDS;
    each(
      (point) => lists.consider(point, candidates(point)),
      start + round * share,
      start + (round + 1) * share,
    );
  }
  return lists.result();
}

/** The k nearest of each point so far. */
class NearestLists {
  private readonly indices: Int32Array;
  /** By differences: 2 − 2 a·b would lose distances between nearly equal ones. */
  private readonly squared: Float64Array;
  /** Which point each one was last compared with, so that a pair is compared once. */
  private readonly seen: Int32Array;

  constructor(
    private readonly vectors: Float32Array,
    private readonly dim: number,
    private readonly k: number,
  ) {
    const n = vectors.length / dim;
    this.indices = new Int32Array(n * k).fill(-1);
    this.squared = new Float64Array(n * k).fill(Number.POSITIVE_INFINITY);
    this.seen = new Int32Array(n).fill(-1);
  }

  consider(point: number, candidates: ArrayLike<number>): void {
    const { indices, squared, seen, k } = this;
    const from = point * k;
    const last = from + k - 1;
    seen[point] = point;
    for (let i = 0; i < candidates.length; i++) {
      const other = candidates[i] as number;
      if (seen[other] === point) continue;
      seen[other] = point;
      const distance = squaredDistance(this.vectors, this.dim, point, other);
      if (!(distance < (squared[last] as number))) continue;
      let at = last;
      for (; at > from && (squared[at - 1] as number) > distance; at--) {
        squared[at] = squared[at - 1] as number;
        indices[at] = indices[at - 1] as number;
      }
      squared[at] = distance;
      indices[at] = other;
    }
  }

  /** Gives each point's neighbours and up to k of those whose neighbour it is. */
  both(): (point: number) => Int32Array {
    const { indices, k } = this;
    const n = indices.length / k;
    const around = new Int32Array(n * 2 * k);
    const counts = new Int32Array(n);
    const add = (point: number, other: number) => {
      const count = counts[point] as number;
      if (count >= 2 * k) return;
      around[point * 2 * k + count] = other;
      counts[point] = count + 1;
    };
    for (let at = 0; at < indices.length; at++) {
      if (indices[at] !== -1) add(Math.floor(at / k), indices[at] as number);
    }
    for (let at = 0; at < indices.length; at++) {
      if (indices[at] !== -1) add(indices[at] as number, Math.floor(at / k));
    }
    return (point) => around.subarray(point * 2 * k, point * 2 * k + (counts[point] as number));
  }

  result(): Nearest {
    const { indices, squared, k } = this;
    for (let at = 0; at < indices.length; at++) {
      // Where fewer than k were found, the last one stands for the rest.
      if (indices[at] !== -1) continue;
      const first = at % k === 0;
      indices[at] = first ? Math.floor(at / k) : (indices[at - 1] as number);
      squared[at] = first ? 0 : (squared[at - 1] as number);
    }
    return { indices, distances: Float32Array.from(squared, Math.sqrt) };
  }
}

/** Parts the space into √N cells around vectors drawn at random; gives the nearest few of a point, nearest first. */
function cellFinder(vectors: Float32Array, dim: number): (point: number) => number[] {
  const n = vectors.length / dim;
  const random = randomNumbers(1);
  const centres = new Set<number>();
  while (centres.size < Math.round(Math.sqrt(n))) centres.add(Math.floor(random() * n));
  return (point) => {
    const best: { centre: number; product: number }[] = [];
    for (const centre of centres) {
      const product = dotProduct(vectors, dim, point, centre);
      if (best.length === PROBES && !(product > (best[PROBES - 1]?.product ?? 0))) continue;
      best.push({ centre, product });
      best.sort((a, b) => b.product - a.product);
      if (best.length > PROBES) best.pop();
    }
    return best.map(({ centre }) => centre);
  };
}

/** Four sums at once: a single one would wait for each addition. */
function squaredDistance(vectors: Float32Array, dim: number, a: number, b: number): number {
  const startA = a * dim;
  const startB = b * dim;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let d = 0;
  for (; d + 3 < dim; d += 4) {
    const g0 = (vectors[startA + d] as number) - (vectors[startB + d] as number);
    const g1 = (vectors[startA + d + 1] as number) - (vectors[startB + d + 1] as number);
    const g2 = (vectors[startA + d + 2] as number) - (vectors[startB + d + 2] as number);
    const g3 = (vectors[startA + d + 3] as number) - (vectors[startB + d + 3] as number);
    s0 += g0 * g0;
    s1 += g1 * g1;
    s2 += g2 * g2;
    s3 += g3 * g3;
  }
  for (; d < dim; d++) s0 += ((vectors[startA + d] as number) - (vectors[startB + d] as number)) ** 2;
  return s0 + s1 + s2 + s3;
}

/** Which cell's centre a vector of length 1 is near; likewise four sums at once. */
function dotProduct(vectors: Float32Array, dim: number, a: number, b: number): number {
  const startA = a * dim;
  const startB = b * dim;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let d = 0;
  for (; d + 3 < dim; d += 4) {
    s0 += (vectors[startA + d] as number) * (vectors[startB + d] as number);
    s1 += (vectors[startA + d + 1] as number) * (vectors[startB + d + 1] as number);
    s2 += (vectors[startA + d + 2] as number) * (vectors[startB + d + 2] as number);
    s3 += (vectors[startA + d + 3] as number) * (vectors[startB + d + 3] as number);
  }
  for (; d < dim; d++) s0 += (vectors[startA + d] as number) * (vectors[startB + d] as number);
  return s0 + s1 + s2 + s3;
}
