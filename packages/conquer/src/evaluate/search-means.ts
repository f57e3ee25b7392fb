import { cat, type Tensor } from '@conquer-dml/torch';
import { eachReranked, type KReciprocalOptions, neighboursNeeded } from '../neighbours/k-reciprocal.js';
import { eachNeighbourBlock } from '../neighbours/nearest.js';
import type { NeighbourBlock } from '../neighbours/neighbours.js';
import { rankedByRows } from '../neighbours/ranked-set.js';
import { mostOwn, withoutOwn } from '../neighbours/without-own.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import { isWorthATrial } from './choose-bits.js';
import { countRelevant, countSharing, shareLabel } from './count-relevant.js';
import { type CountedSearch, eachCountedRanking } from './counted-ranks.js';
import type { Hits, SearchMetric } from './metric.js';
import { placesOf, targetsOf } from './places.js';
import { eachRanking } from './rankings.js';
import type { Search } from './search.js';
import { standardErrorOverClasses } from './standard-error.js';

export interface SearchMeansOptions extends Search {
  gallery?: NonNullable<Search['gallery']> & { withoutMatch?: 'miss' | 'left out' | undefined };
  rerank?: KReciprocalOptions | null | undefined;
  /** Told of every query in order: what means are taken of, by name. null: it is left out. */
  onQuery?: ((query: number, values: Readonly<Record<string, number>> | null) => void) | undefined;
}

interface Wanted {
  metric: SearchMetric;
  at: readonly number[];
}

/**
 * Means over the queries of metrics of a search.
 *
 * @returns by name, each 0…1; with R@1 its standard error over classes, `R@1 SE`
 * @throws RangeError where every query is left out
 */
export function searchMeans(
  embeddings: Tensor,
  labels: Int32Array,
  wanted: readonly Wanted[],
  { onQuery, rerank, ...search }: SearchMeansOptions,
): Map<string, number> {
  if (wanted.length === 0) return new Map();
  const { gallery } = search;
  const own = gallery?.own;
  const sets = search.labelSets;
  const relevant = sets
    ? countSharing(sets.queries, gallery ? sets.searched : null, own)
    : countRelevant(labels, gallery?.labels ?? null, { own });
  const size = gallery?.labels.length ?? labels.length - 1;
  const counted = relevant.map((count) => Number(count > 0 || gallery?.withoutMatch !== 'left out'));
  const total = counted.reduce((a, b) => a + b, 0);
  if (total === 0) throw new RangeError('evaluation: expected a query with an image to be found, got none');
  const sums = new Map(wanted.flatMap(({ metric, at }) => metric.names(at)).map((name) => [name, 0]));
  const firstHits = sums.has('R@1') ? new Float64Array(labels.length) : null;
  // Both passes see the queries in order.
  const kept: Record<string, number>[] | null = onQuery ? Array.from(labels, () => ({})) : null;
  const add = (some: readonly Wanted[], query: number, ranks: Hits['ranks']) => {
    if (counted[query] === 0) return;
    const hits = {
      ranks,
      relevant: relevant[query]!,
      size: size - (own?.get(query)?.length ?? 0),
    };
    for (const { metric, at } of some) {
      const names = metric.names(at);
      for (const [i, value] of metric.measure(hits, at).entries()) {
        sums.set(names[i]!, sums.get(names[i]!)! + value);
        if (kept) kept[query]![names[i]!] = value;
        if (firstHits && names[i] === 'R@1') firstHits[query] = value;
      }
    }
  };
  if (rerank) {
    eachRerankedRanking(embeddings, labels, { ...search, rerank }, (query, ranks) =>
      add(wanted, query, ranks),
    );
  } else {
    const near = wanted.filter(({ metric }) => metric.looks !== 'everywhere');
    const everywhere = wanted.filter(({ metric }) => metric.looks === 'everywhere');
    const ks = [1, ...near.flatMap(({ at }) => at)];
    const ordered = near.flatMap(({ metric, at }) => (metric.looks === 'near in order' ? at : []));
    if (near.length > 0)
      eachNearRanking(embeddings, labels, { ...search, ks, ordered, relevant }, (query, ranks) =>
        add(near, query, ranks),
      );
    if (everywhere.length > 0)
      eachRanking(embeddings, labels, search, (query, ranks) => add(everywhere, query, ranks));
  }
  for (const [query, values] of (kept ?? []).entries()) onQuery?.(query, counted[query] ? values : null);
  const means = new Map([...sums].map(([name, sum]) => [name, sum / total]));
  const error =
    firstHits &&
    standardErrorOverClasses(
      firstHits.filter((_, query) => counted[query] === 1),
      labels.filter((_, query) => counted[query] === 1),
    );
  if (error !== null) means.set('R@1 SE', error);
  return means;
}

/** The ranks of hits among the first R and the first k. */
function eachNearRanking(
  embeddings: Tensor,
  labels: Int32Array,
  {
    gallery,
    labelSets,
    blockSize,
    onProgress,
    stop,
    ks,
    ordered,
    relevant,
  }: Search & { ks: readonly number[]; ordered: readonly number[]; relevant: Int32Array },
  onQuery: (query: number, ranks: readonly number[]) => void,
): void {
  const galleryLabels = gallery?.labels ?? labels;
  const mostRelevant = relevant.reduce((a, b) => Math.max(a, b), 1);
  const deepest = Math.max(mostRelevant, ...ks);
  const own: OwnInGallery = gallery?.own ?? new Map();
  // Metrics look at the order of the first R, and at which are the first k; where up to `most` of them are left
  // out, the first k are among the first k, k + 1, …
  const most = mostOwn(own);
  const cuts = [...new Set(ks.flatMap((k) => Array.from({ length: most + 1 }, (_, more) => k + more)))];
  const order = { first: Math.max(mostRelevant, ...ordered) + most, cuts };
  const onBlock = (block: NeighbourBlock) => {
    const { indices, k } = withoutOwn(block, block.start, own, deepest);
    for (let row = 0; row < block.count; row++) {
      const label = labels[block.start + row];
      const set = labelSets?.queries[block.start + row];
      const ranks: number[] = [];
      for (let rank = 0; rank < k; rank++) {
        const place = indices[row * k + rank]!;
        const isHit =
          set && place >= 0 ? shareLabel(set, labelSets!.searched[place]!) : galleryLabels[place] === label;
        if (isHit) ranks.push(rank + 1);
      }
      onQuery(block.start + row, ranks);
    }
  };
  const among = gallery?.embeddings ?? null;
  const counted = labelSets ? null : countedSearch(embeddings, labels, gallery, { deepest, most, relevant });
  if (counted && eachCountedRanking(counted, { onProgress, stop }, onQuery)) return;
  eachNeighbourBlock(embeddings, among, deepest + most, { blockSize, order, onProgress, stop }, onBlock);
}

/** The same search as one that counts takes it; null where rows are no float32 on the CPU, or it would not be worth it. */
function countedSearch(
  embeddings: Tensor,
  labels: Int32Array,
  gallery: Search['gallery'],
  { deepest, most, relevant }: { deepest: number; most: number; relevant: Int32Array },
): CountedSearch | null {
  const all = gallery?.embeddings ?? embeddings;
  if ([embeddings, all].some(({ device, dtype }) => device !== 'cpu' || dtype !== 'float32')) return null;
  const extent = {
    dimensions: all.size(1),
    deepest: deepest + most,
    targets: relevant.reduce((a, b) => a + b, 0),
  };
  if (!isWorthATrial(labels.length, all.size(0), extent)) return null;
  const own = gallery?.own;
  return {
    queries: embeddings.detach().contiguous(),
    gallery: gallery ? all.detach().contiguous() : null,
    targets: targetsOf(labels, gallery?.labels ?? null, own),
    leftOut: own && own.size > 0 ? placesOf(labels.length, (query) => own.get(query) ?? []) : null,
    deepest,
  };
}

/** The ranks of all hits, by re-ranked distances; of equal ones the lower image first. */
function eachRerankedRanking(
  embeddings: Tensor,
  labels: Int32Array,
  { gallery, stop, rerank }: Search & { rerank: KReciprocalOptions },
  onQuery: (query: number, ranks: Int32Array) => void,
): void {
  const galleryLabels = gallery?.labels ?? labels;
  const all = gallery ? cat([embeddings, gallery.embeddings]) : embeddings;
  try {
    const images = rankedByRows(all, neighboursNeeded(rerank), stop);
    const places = {
      queries: labels.length,
      gallery: { start: gallery ? labels.length : 0, count: galleryLabels.length },
    };
    eachReranked(
      images,
      rerank,
      places,
      ({ start, count, distances }) => {
        for (let row = 0; row < count; row++) {
          const own = distances.subarray(row * galleryLabels.length, (row + 1) * galleryLabels.length);
          const left = new Set(gallery ? (gallery.own?.get(start + row) ?? []) : [start + row]);
          onQuery(start + row, ranksBy(own, left, galleryLabels, labels[start + row]!));
        }
      },
      stop,
    );
  } finally {
    if (gallery) all.dispose();
  }
}

/**
 * Of images by their distances, the ranks of those of a class, ascending; of equally far ones the lower is first. Only they are
 * sorted: every other image is counted before the first of them that is behind it.
 */
export function ranksBy(
  distances: Float64Array,
  leftOut: ReadonlySet<number>,
  galleryLabels: Int32Array,
  label: number,
): Int32Array {
  const hits: number[] = [];
  for (const [place, own] of galleryLabels.entries())
    if (own === label && !leftOut.has(place)) hits.push(place);
  hits.sort((a, b) => distances[a]! - distances[b]! || a - b);
  const isBehind = (hit: number, place: number) =>
    distances[hit]! > distances[place]! || (distances[hit] === distances[place] && hit > place);
  const before = new Int32Array(hits.length + 1);
  const last = hits.length === 0 ? Number.NEGATIVE_INFINITY : distances[hits.at(-1)!]!;
  for (let place = 0; place < distances.length; place++) {
    if (distances[place]! > last || galleryLabels[place] === label || leftOut.has(place)) continue;
    let [low, high] = [0, hits.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBehind(hits[middle]!, place)) high = middle;
      else low = middle + 1;
    }
    before[low]!++;
  }
  let others = 0;
  return Int32Array.from(hits, (_, at) => {
    others += before[at]!;
    return at + 1 + others;
  });
}
