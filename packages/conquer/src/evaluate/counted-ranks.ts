import {
  countNearer,
  discountOwn,
  limitTargets,
  noGrad,
  type RankTargets,
  scope,
  type Tensor,
  tensor,
} from '@conquer-dml/torch';
import { neighboursOf } from '../neighbours/nearest-by-rows.js';
import type { Search } from '../neighbours/nearest-candidates.js';
import type { NearestOptions } from '../neighbours/neighbours.js';
import { spaceOf } from '../neighbours/product-filter.js';
import { type Bits, quantized, rotationFor } from '../neighbours/quantize.js';
import { checkStop } from '../stop-check.js';
import { chooseBits } from './choose-bits.js';
import { mostPlaces, type Places } from './places.js';
import { expectedRank, rankTargets, sampleOf } from './rank-targets.js';

/** Of a block: what is not interrupted. */
const BLOCK_QUERIES = 4096;
const BLOCK_GALLERY = 16_384;
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
 * rows are nearer than each target is counted, which takes products of 8-bit or 16-bit integers, differences for what these leave
 * undecided, and no memory beside the integers and the counts. Of equally near rows the lower comes first.
 *
 * @param onQuery told of each query in order, its ranks ascending from 1
 * @param bits of the integers; by default what is expected to take least time
 * @returns false where this is not the way, and nothing was told: lists of neighbours are
 * @throws RangeError for rows that are NaN or infinite
 */
export function eachCountedRanking(
  search: CountedSearch,
  { onProgress, stop }: Pick<NearestOptions, 'onProgress' | 'stop'>,
  onQuery: (query: number, ranks: readonly number[]) => void,
  bits?: Bits,
): boolean {
  const { queries, gallery } = search;
  const all = gallery ?? queries;
  const [count, size] = [queries.size(0), all.size(0)];
  const deepest = search.deepest + mostPlaces(search.leftOut);
  return scope(() =>
    noGrad(() => {
      const space = spaceOf('nearest neighbours', all, gallery ? queries : null);
      checkStop(stop);
      const near: Search = { queries, all, space, own: gallery === null, stop };
      const chosen = bits ?? chooseBits(near, search.targets, deepest);
      if (chosen === null) return false;
      const rotation = rotationFor(chosen, queries.size(1));
      using quantizedQueries = quantized(queries, near, rotation, chosen);
      using quantizedAll = gallery ? quantized(gallery, near, rotation, chosen) : null;
      using quantizedSample = quantized(sampleOf(all), near, rotation, chosen);
      const quantizedGallery = quantizedAll ?? quantizedQueries;
      const rows = { queries, gallery: all, quantizedQueries, quantizedGallery, same: near.own };
      const targets = rankTargets(near, search.targets);
      limitTargets(quantizedQueries, quantizedSample, { rank: expectedRank(deepest, size), size }, targets);
      for (const block of blocksOf(count, size, near.own)) {
        checkStop(stop);
        countNearer(rows, targets, block);
        onProgress?.({ done: Math.floor(count * block.share), total: count });
      }
      if (search.leftOut) {
        const { starts, places } = search.leftOut;
        discountOwn(rows, targets, { starts: tensor(starts), places: tensor(places) });
      }
      tellRanks(search, near, targets, onQuery);
      return true;
    }),
  );
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
  const counted = (query: number): number[] | null => {
    const first = starts[query]!;
    const ranks: number[] = [];
    let before = 0;
    for (let i = 0; i < Number(kept[query]); i++) {
      before += Number(counts[first + query + i]);
      if (before <= deepest) ranks.push(before);
    }
    if (Number(kept[query]) === starts[query + 1]! - first) return ranks;
    return before + Number(counts[first + query + Number(kept[query])]) >= deepest ? ranks : null;
  };
  const open = Int32Array.from({ length: count }, (_, query) => query).filter(
    (query) => counted(query) === null,
  );
  const listed = new Map<number, number[]>();
  for (let start = 0; start < open.length; start += OPEN_QUERIES) {
    checkStop(near.stop);
    const some = open.subarray(start, start + OPEN_QUERIES);
    for (const [i, ranks] of ranksByLists(search, near, some).entries()) listed.set(some[i]!, ranks);
  }
  for (let query = 0; query < count; query++) onQuery(query, counted(query) ?? listed.get(query)!);
}

/** The same for some queries by their nearest neighbours. */
function ranksByLists(search: CountedSearch, near: Search, queries: Int32Array): number[][] {
  const available = near.all.size(0) - (near.own ? 1 : 0);
  const k = Math.min(search.deepest + mostPlaces(search.leftOut), available);
  const { indices } = scope(() => neighboursOf(near, queries, k, 'float64'));
  return Array.from(queries, (query, row) => {
    const of = (some: Places | null) =>
      new Set(some?.places.subarray(some.starts[query], some.starts[query + 1]));
    const [targets, leftOut] = [of(search.targets), of(search.leftOut)];
    const left = [...indices.subarray(row * k, (row + 1) * k)].filter((place) => !leftOut.has(place));
    return left.slice(0, search.deepest).flatMap((place, rank) => (targets.has(place) ? [rank + 1] : []));
  });
}
