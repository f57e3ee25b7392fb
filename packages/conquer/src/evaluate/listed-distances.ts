import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { ImagePairs } from '../image-pairs.js';
import type { DistancesOfPairs, JudgedDistances, PairSummary } from './metric.js';
import { SHOWN_BINS } from './pair-distances.js';

/** Pairs whose distances are computed at a time. */
const BLOCK = 4096;

/** A point of the ROC: pairs nearer than a distance are taken for the same. */
export interface RocPoint {
  distance: number;
  /** Share of the different pairs that are (false match rate). */
  falseMatch: number;
  /** Share of the same pairs that are (true match rate, 1 - FNMR). */
  trueMatch: number;
}

/** The Euclidean distances, in float64, of pairs that are listed as the same or different. */
export class ListedDistances implements DistancesOfPairs, JudgedDistances {
  /** (P,) in the order of the pairs. */
  readonly distances: Float64Array;
  /** (P,) 1: the same. */
  readonly answers: Uint8Array;
  readonly edges: readonly number[];
  readonly same: PairSummary;
  readonly different: PairSummary;
  /** Ascending. */
  readonly #sorted: Record<'same' | 'different', Float64Array>;

  /** @param rows (N, D) embeddings of the images that `pairs` are of */
  constructor(rows: Tensor, pairs: ImagePairs) {
    this.distances = distancesOf(rows, pairs);
    this.answers = pairs.same;
    const of = (answer: number) => this.distances.filter((_, pair) => pairs.same[pair] === answer).sort();
    this.#sorted = { same: of(1), different: of(0) };
    const largest = this.distances.reduce((most, distance) => Math.max(most, distance), 0);
    this.edges = Array.from({ length: SHOWN_BINS + 1 }, (_, bin) => (bin * largest) / SHOWN_BINS);
    this.same = summaryOf(this.#sorted.same, largest);
    this.different = summaryOf(this.#sorted.different, largest);
  }

  quantileOfDifferent(share: number): number | null {
    const { different } = this.#sorted;
    if (different.length === 0) return null;
    const place = share * (different.length - 1);
    const below = Math.floor(place);
    const low = different[below]!;
    return low + ((different[below + 1] ?? low) - low) * (place - below);
  }

  shareOfSameBeyond(distance: number): number | null {
    const { same } = this.#sorted;
    return same.length === 0 ? null : 1 - below(same, distance) / same.length;
  }

  /** The receiver operating characteristic: from no pair taken for the same to all, at each distance that occurs. */
  roc(): RocPoint[] {
    const { same, different } = this.#sorted;
    const occurring = [...new Set([...same, ...different])].sort((a, b) => a - b);
    return [...occurring, Infinity].map((distance) => ({
      distance,
      falseMatch: below(different, distance) / different.length,
      trueMatch: below(same, distance) / same.length,
    }));
  }
}

function distancesOf(rows: Tensor, { first, second }: ImagePairs): Float64Array {
  const distances = new Float64Array(first.length);
  const at = (places: Int32Array) => tensor(places, { dtype: 'int64', device: rows.device });
  for (let start = 0; start < first.length; start += BLOCK)
    scope(() =>
      noGrad(() => {
        const some = (places: Int32Array) =>
          rows.indexSelect(0, at(places.subarray(start, start + BLOCK))).to({ dtype: 'float64' });
        distances.set(some(first).sub(some(second)).square().sum(1).sqrt().toNumbers(), start);
      }),
    );
  return distances;
}

/** How many of ascending numbers are smaller than one. */
function below(ascending: Float64Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function summaryOf(ascending: Float64Array, largest: number): PairSummary {
  const count = ascending.length;
  const histogram = new Array<number>(SHOWN_BINS).fill(0);
  for (const distance of ascending)
    histogram[Math.min(SHOWN_BINS - 1, largest === 0 ? 0 : Math.floor((distance * SHOWN_BINS) / largest))]!++;
  const mean = ascending.reduce((sum, distance) => sum + distance, 0) / count;
  const variance = ascending.reduce((sum, distance) => sum + (distance - mean) ** 2, 0) / count;
  return {
    count,
    mean,
    std: Math.sqrt(variance),
    min: ascending[0] ?? Number.NaN,
    max: ascending.at(-1) ?? Number.NaN,
    histogram,
  };
}
