import { checkStop, type StopCheck } from '../stop-check.js';

/** Defaults are the authors'. */
export interface KReciprocalOptions {
  /** How many neighbours may be mutual ones; default 20. */
  k1?: number;
  /** Over how many neighbours an image's mutual ones are averaged; default 6, 1: not at all. */
  k2?: number;
  /** Share of the distance itself, 0…1; default 0.3. */
  lambda?: number;
}

/** All images together, queries first, as they are ranked: never as a matrix of all pairs. */
export interface RankedSet {
  /** N. */
  count: number;
  /** How many neighbours of each are known. */
  width: number;
  /** (N × width) row-major, nearest first, an image itself among its own; of equally near ones the lower first. */
  nearest: Int32Array;
  /** Squared distances of an image to some, divided by its largest to any. */
  squaresTo(image: number, others: readonly number[]): Float64Array;
  /** (rows × count) the same of several images in a row to a run of others. */
  squaresOf(images: { start: number; count: number }, others: { start: number; count: number }): Float64Array;
}

/** Numbers in a block of distances. */
const BLOCK_NUMBERS = 2 ** 20;

/** What each image is near to, mutually: weights that add up to 1. */
interface Weights {
  places: Int32Array;
  values: Float64Array;
}

/**
 * Re-ranking by mutual neighbours (Zhong, Zheng, Cao, Li, "Re-ranking person re-identification with k-reciprocal encoding",
 * CVPR 2017): of each image those that are among its k1 nearest and it among theirs, widened by theirs; two images
 * are near that share many. The new distance is (1 - λ) of the Jaccard distance of these + λ of the squared distance
 * divided by the row's largest.
 *
 * In blocks: memory grows with N · k1 · k2 and a block of queries, never with N².
 *
 * @param images all together, at least max(k1, k2) + 1 of the neighbours of each (or all)
 * @param onBlock told of the queries `start`…, their distances (count × gallery) to `gallery` row-major
 * @throws RangeError for options that are none; Interrupted after `stop`
 */
export function eachReranked(
  images: RankedSet,
  { k1 = 20, k2 = 6, lambda = 0.3 }: KReciprocalOptions,
  places: { queries: number; gallery: { start: number; count: number } },
  onBlock: (block: { start: number; count: number; distances: Float64Array }) => void,
  stop?: StopCheck | undefined,
): void {
  checkOptions({ k1, k2, lambda });
  const weights = encoded(images, k1, k2, stop);
  const lists = invert(weights, images.count);
  const { queries, gallery } = places;
  const rows = Math.max(1, Math.floor(BLOCK_NUMBERS / gallery.count));
  const shared = new Float64Array(images.count);
  for (let start = 0; start < queries; start += rows) {
    checkStop(stop);
    const count = Math.min(rows, queries - start);
    const distances = images.squaresOf({ start, count }, gallery);
    for (let row = 0; row < count; row++) {
      const own = weights[start + row]!;
      shared.fill(0);
      for (const [at, place] of own.places.entries()) {
        const value = own.values[at]!;
        const list = lists[place]!;
        for (let i = 0; i < list.places.length; i++)
          shared[list.places[i]!]! += Math.min(value, list.values[i]!);
      }
      for (let other = 0; other < gallery.count; other++) {
        const both = shared[gallery.start + other]!;
        const place = row * gallery.count + other;
        distances[place] = (1 - lambda) * (1 - both / (2 - both)) + lambda * distances[place]!;
      }
    }
    onBlock({ start, count, distances });
  }
}

/** How many neighbours of each image re-ranking looks at, itself among them. */
export function neighboursNeeded({ k1 = 20, k2 = 6 }: KReciprocalOptions): number {
  return Math.max(k1 + 1, k2);
}

function checkOptions({ k1, k2, lambda }: Required<KReciprocalOptions>): void {
  for (const [name, value] of [
    ['k1', k1],
    ['k2', k2],
  ] as const)
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(
        `k-reciprocal re-ranking: expected a whole number of at least 1 for ${name}, got ${value}`,
      );
  if (!(lambda >= 0 && lambda <= 1))
    throw new RangeError(`k-reciprocal re-ranking: expected a share of 0 to 1 for lambda, got ${lambda}`);
}

/** The weights of each image over those that it and they are near to. */
function encoded(images: RankedSet, k1: number, k2: number, stop: StopCheck | undefined): Weights[] {
  const { count, width, nearest } = images;
  const first = (image: number, k: number) =>
    nearest.subarray(image * width, image * width + Math.min(k, width));
  const mutual = (image: number, k: number) =>
    [...first(image, k + 1)].filter((other) => first(other, k + 1).includes(image));
  const half = roundHalfToEven(k1 / 2);
  const halves = new Map<number, number[]>();
  const halfOf = (image: number) => {
    const known = halves.get(image) ?? mutual(image, half);
    halves.set(image, known);
    return known;
  };
  const weights: Weights[] = [];
  for (let image = 0; image < count; image++) {
    if (image % 1024 === 0) checkStop(stop);
    const near = mutual(image, k1);
    const core = new Set(near);
    const widened = new Set(near);
    for (const candidate of near) {
      const theirs = halfOf(candidate);
      const common = theirs.reduce((sum, other) => sum + Number(core.has(other)), 0);
      if (common > (2 / 3) * theirs.length) for (const other of theirs) widened.add(other);
    }
    const places = [...widened].sort((a, b) => a - b);
    const values = images.squaresTo(image, places).map((square) => Math.exp(-square));
    const total = values.reduce((a, b) => a + b, 0);
    weights.push({ places: Int32Array.from(places), values: values.map((value) => value / total) });
  }
  if (k2 === 1) return weights;
  return weights.map((_, image) => {
    const among = first(image, k2);
    const sums = new Map<number, number>();
    for (const other of among) {
      const { places, values } = weights[other]!;
      for (const [at, place] of places.entries()) sums.set(place, (sums.get(place) ?? 0) + values[at]!);
    }
    return {
      places: Int32Array.from(sums.keys()),
      values: Float64Array.from(sums.values(), (sum) => sum / among.length),
    };
  });
}

/** For each place who has a weight there. */
function invert(weights: readonly Weights[], count: number): Weights[] {
  const sizes = new Int32Array(count);
  for (const { places } of weights) for (const place of places) sizes[place]!++;
  const lists = Array.from(sizes, (size) => ({
    places: new Int32Array(size),
    values: new Float64Array(size),
  }));
  sizes.fill(0);
  for (const [image, { places, values }] of weights.entries()) {
    for (const [at, place] of places.entries()) {
      const list = lists[place]!;
      list.places[sizes[place]!] = image;
      list.values[sizes[place]!] = values[at]!;
      sizes[place]!++;
    }
  }
  return lists;
}

/** As NumPy's around. */
function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
