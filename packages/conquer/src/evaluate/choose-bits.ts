import { limitTargets, scope, tensor } from '@conquer-dml/torch';
import type { Search } from '../neighbours/nearest-candidates.js';
import { type Bits, possibleBits, quantized, rotationFor } from '../neighbours/quantize.js';
import { type Places, placesOf } from './places.js';
import { expectedRank, rankTargets, SAMPLE, sampleOf } from './rank-targets.js';

/** Queries, and rows of the gallery, from which on a trial and packing all rows are worth it. */
const LEAST_ROWS = 4096;
const MOST_DIMENSIONS = 65_536;
/** Queries that are tried. */
const TRIED = 256;
/** Bytes for each target. */
const TARGET_BYTES = 32;

/** What a pair of rows takes, in the time of a multiplication of bytes: measured on Zen 4, with rows of 512. */
const COST = {
  /** Of each number, where it has so many bits. */
  product: { 8: 1, 16: 2.7 },
  /** Of each number that each number of a row that is turned is multiplied by. */
  rotation: 4,
  /** Of a pair whose distance is taken by differences: of itself, and of each number. */
  undecided: 5800,
  difference: 7,
  /** Of lists of neighbours, beside products of 16 bits. */
  lists: 700,
};

/**
 * Whether it may be better to count than to list; it takes no memory that lists would not.
 *
 * @param count of the queries, and `size` of the gallery
 * @param of `targets`: of all queries together
 */
export function isWorthATrial(
  count: number,
  size: number,
  { dimensions, deepest, targets }: { dimensions: number; deepest: number; targets: number },
): boolean {
  const enough = count >= LEAST_ROWS && size >= LEAST_ROWS && expectedRank(deepest, size) < SAMPLE;
  const bytes = count * (8 * deepest + 4 * dimensions);
  return enough && dimensions <= MOST_DIMENSIONS && TARGET_BYTES * targets <= bytes;
}

/**
 * The precision by which counting takes least time: some queries say how many pairs of each the products would leave undecided.
 *
 * @returns null where lists of neighbours take less
 */
export function chooseBits(search: Search, targets: Places, deepest: number): Bits | null {
  const { queries, all } = search;
  const [count, size, dimensions] = [queries.size(0), all.size(0), all.size(1)];
  const every = Math.max(1, Math.floor(count / TRIED));
  const positions = Int32Array.from({ length: Math.min(count, TRIED) }, (_, i) => i * every);
  return scope(() => {
    const tried = { ...search, queries: queries.indexSelect(0, tensor(positions, { dtype: 'int64' })) };
    const some = rankTargets(
      tried,
      placesOf(positions.length, (i) => {
        const query = positions[i]!;
        return [...targets.places.subarray(targets.starts[query], targets.starts[query + 1])];
      }),
    );
    const sample = sampleOf(all);
    const [turned, pairs] = search.own ? [count, (count * count) / 2] : [count + size, count * size];
    let [best, least]: [Bits | null, number] = [null, COST.product[16] * dimensions + COST.lists];
    for (const bits of possibleBits()) {
      if (COST.product[bits] * dimensions >= least) continue;
      const rotation = rotationFor(bits, dimensions);
      using rows = quantized(tried.queries, search, rotation, bits);
      using few = quantized(sample, search, rotation, bits);
      const undecided = limitTargets(rows, few, { rank: expectedRank(deepest, size), size }, some);
      // A pair is undecided from either side; all rows are turned once.
      const cost =
        COST.product[bits] * dimensions +
        2 * undecided * (COST.undecided + COST.difference * dimensions) +
        (COST.rotation * dimensions * (rotation?.matrix.size(0) ?? 0) * turned) / pairs;
      if (cost < least) [best, least] = [bits, cost];
    }
    return best;
  });
}
