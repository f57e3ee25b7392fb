import {
  countNearer,
  discountOwn,
  empty,
  limitTargets,
  noGrad,
  type PlacesOfQueries,
  QuantizedRows,
  quantizedBits,
  type RankTargets,
  scope,
  sortTargets,
  type Tensor,
  tensor,
  zeros,
} from '@conquer-dml/torch';
import { COPIED_ROWS } from '../neighbours/block-vectors.js';
import { neighboursOf } from '../neighbours/nearest-by-rows.js';
import type { Search } from '../neighbours/nearest-candidates.js';
import type { NearestOptions } from '../neighbours/neighbours.js';
import { centre, spaceOf, squaredNorms } from '../neighbours/product-filter.js';
import { type Rotation, spreadingRotation } from '../neighbours/spreading-rotation.js';
import { Random } from '../random.js';
import { checkStop } from '../stop-check.js';
import type { Places } from './count-relevant.js';

/** Queries, and rows of the gallery, from which on packing all rows is worth it. */
const LEAST_ROWS = 4096;
/** Rows of the gallery by which it is guessed how far one has to look. */
const SAMPLE = 1024;
/** Of a block: what is not interrupted. */
const BLOCK_QUERIES = 4096;
const BLOCK_GALLERY = 16_384;
/** Where products leave open more of the pairs than this, the differences of those cost more than a list of neighbours. */
const MOST_UNDECIDED = 0.02;
/** Bytes for each target. */
const TARGET_BYTES = 32;
/** Queries at a time of those whose guess was too near. */
const OPEN_QUERIES = 256;

/** What is ranked, by Euclidean distance: float32 on the CPU, contiguous. */
export interface CountedSearch {
  /** (N, D) */
  queries: Tensor;
  /** (M, D), or null: the queries among each other, none with itself. */
  gallery: Tensor | null;
  /** Each query's images to be found, as positions in the gallery. */
  targets: Places;
  /** What each query leaves out of the gallery, none of them a target. */
  leftOut: Places | null;
  /** How many of the first ranks matter. */
  deepest: number;
}

/**
 * For every query the ranks of its targets as far as they are among the first `deepest`, without a list of its neighbours: how many
 * rows are nearer than each target is counted, which takes products of 8-bit integers (16-bit where the processor has no other),
 * differences for what these leave open, and no memory beside the integers and the counts. Of equally near rows the lower comes first.
 *
 * @param onQuery told of each query in order, its ranks ascending from 1
 * @returns false where this is not the way, and nothing was told: another is, for few rows, other processors, distances that integers
 *   leave undecided
 * @throws RangeError for rows that are NaN or infinite
 */
export function eachCountedRanking(
  search: CountedSearch,
  { onProgress, stop }: Pick<NearestOptions, 'onProgress' | 'stop'>,
  onQuery: (query: number, ranks: readonly number[]) => void,
  bits = quantizedBits(),
): boolean {
  const { queries, gallery, deepest } = search;
  const all = gallery ?? queries;
  const [count, size, dimensions] = [queries.size(0), all.size(0), queries.size(1)];
  const mean = (SAMPLE * (deepest + mostLeftOut(search.leftOut))) / size;
  // A guess that is too near is a matter of 6 standard deviations.
  const rank = Math.ceil(mean + 6 * Math.sqrt(mean) + 6);
  if (bits === 0 || count < LEAST_ROWS || size < LEAST_ROWS || rank >= SAMPLE || dimensions > 65_536)
    return false;
  if (TARGET_BYTES * search.targets.places.length > 4 * count * dimensions) return false;
  return scope(() =>
    noGrad(() => {
      const space = spaceOf('nearest neighbours', all, gallery ? queries : null);
      checkStop(stop);
      const near: Search = { queries, all, space, own: gallery === null, stop };
      const rotation = bits === 8 ? spreadingRotation(dimensions) : null;
      using quantizedQueries = quantized(queries, near, rotation, bits);
      using quantizedAll = gallery ? quantized(gallery, near, rotation, bits) : null;
      using quantizedSample = sampleOf(near, rotation, bits);
      const quantizedGallery = quantizedAll ?? quantizedQueries;
      const rows = { queries, gallery: all, quantizedQueries, quantizedGallery, same: near.own };
      const targets = rankTargets(near, search.targets);
      if (limitTargets(quantizedQueries, quantizedSample, { rank, size }, targets) > MOST_UNDECIDED)
        return false;
      for (const block of blocksOf(count, size, near.own)) {
        checkStop(stop);
        countNearer(rows, targets, block);
        onProgress?.({ done: Math.floor(count * block.share), total: count });
      }
      if (search.leftOut) discountOwn(rows, targets, tensorsOf(search.leftOut));
      tellRanks(search, near, targets, onQuery);
      return true;
    }),
  );
}

/** The most that one query leaves out. */
const mostLeftOut = (leftOut: Places | null) =>
  leftOut?.starts.reduce(
    (most, start, i, starts) => Math.max(most, i === 0 ? 0 : start - starts[i - 1]!),
    0,
  ) ?? 0;

const tensorsOf = ({ starts, places }: Places): PlacesOfQueries => ({
  starts: tensor(starts),
  places: tensor(places),
});

function quantized(
  rows: Tensor,
  { space, stop }: Search,
  rotation: Rotation | null,
  bits: 8 | 16,
): QuantizedRows {
  const [count, dimensions] = [rows.size(0), rows.size(1)];
  const packed = new QuantizedRows(count, dimensions, bits);
  for (let start = 0; start < count; start += COPIED_ROWS) {
    checkStop(stop);
    scope(() => {
      const centred = centre(rows.narrow(0, start, Math.min(COPIED_ROWS, count - start)), space, 'float32');
      const squares = squaredNorms(centred).select(1, 0).contiguous();
      packed.fill(rotation ? centred.matmul(rotation.matrix) : centred, squares, rotation?.error ?? 0, start);
    });
  }
  return packed;
}

function sampleOf(search: Search, rotation: Rotation | null, bits: 8 | 16): QuantizedRows {
  const places = tensor(new Random(0).choice(search.all.size(0), SAMPLE), { dtype: 'int64' });
  return quantized(search.all.indexSelect(0, places), search, rotation, bits);
}

function rankTargets({ queries, all, space }: Search, targets: Places): RankTargets {
  const { starts, places } = tensorsOf({ starts: targets.starts, places: targets.places.slice() });
  const squares = sortTargets(queries, all, { starts, places });
  const numbers = squares.toTypedArray() as Float64Array;
  const factor = space.scale * space.scale;
  const count = queries.size(0);
  return {
    starts,
    places,
    squares,
    lows: tensor(Float32Array.from(numbers, (square) => square * factor * (1 - 2 ** -22))),
    highs: tensor(Float32Array.from(numbers, (square) => square * factor * (1 + 2 ** -22) + 2 ** -100)),
    kept: zeros([count], { dtype: 'int32' }),
    limits: empty([count]),
    counts: zeros([numbers.length + count], { dtype: 'int32' }),
  };
}

/** Blocks of all pairs, and which share of them is done with each. */
function* blocksOf(count: number, size: number, own: boolean) {
  const total = own ? (count * count) / 2 : count * size;
  let done = 0;
  for (let firstRow = 0; firstRow < count; firstRow += BLOCK_QUERIES) {
    const rowCount = Math.min(BLOCK_QUERIES, count - firstRow);
    // Of rows among themselves the pairs before these have been looked at from the other side.
    for (let firstColumn = own ? firstRow : 0; firstColumn < size; firstColumn += BLOCK_GALLERY) {
      const columnCount = Math.min(BLOCK_GALLERY, size - firstColumn);
      done += rowCount * columnCount - (own && firstColumn === firstRow ? (rowCount * rowCount) / 2 : 0);
      yield { firstRow, rowCount, firstColumn, columnCount, share: Math.min(1, done / total) };
    }
  }
}

/** Sums the counts up. Where targets were left aside as too far, it has to be sure by now that as many as matter are nearer. */
function tellRanks(
  search: CountedSearch,
  near: Search,
  targets: RankTargets,
  onQuery: (query: number, ranks: readonly number[]) => void,
): void {
  const { starts } = search.targets;
  const { deepest } = search;
  const count = starts.length - 1;
  const kept = targets.kept.toTypedArray();
  const counts = targets.counts.toTypedArray();
  const all = Array.from({ length: count }, (_, query): number[] | null => {
    const first = starts[query]!;
    const ranks: number[] = [];
    let before = 0;
    for (let i = 0; i < Number(kept[query]); i++) {
      before += Number(counts[first + query + i]);
      if (before <= deepest) ranks.push(before);
    }
    if (Number(kept[query]) === starts[query + 1]! - first) return ranks;
    return before + Number(counts[first + query + Number(kept[query])]) >= deepest ? ranks : null;
  });
  const open = Int32Array.from(all.keys()).filter((query) => all[query] === null);
  for (let start = 0; start < open.length; start += OPEN_QUERIES) {
    checkStop(near.stop);
    const some = open.subarray(start, start + OPEN_QUERIES);
    for (const [i, ranks] of ranksByLists(search, near, some).entries()) all[some[i]!] = ranks;
  }
  for (const [query, ranks] of all.entries()) onQuery(query, ranks!);
}

/** The same for some queries by their nearest neighbours. */
function ranksByLists(search: CountedSearch, near: Search, queries: Int32Array): number[][] {
  const available = near.all.size(0) - (near.own ? 1 : 0);
  const k = Math.min(search.deepest + mostLeftOut(search.leftOut), available);
  const { indices } = scope(() => neighboursOf(near, queries, k, 'float64'));
  return Array.from(queries, (query, row) => {
    const of = (some: Places | null) =>
      new Set(some?.places.subarray(some.starts[query], some.starts[query + 1]));
    const [targets, leftOut] = [of(search.targets), of(search.leftOut)];
    const left = [...indices.subarray(row * k, (row + 1) * k)].filter((place) => !leftOut.has(place));
    return left.slice(0, search.deepest).flatMap((place, rank) => (targets.has(place) ? [rank + 1] : []));
  });
}
