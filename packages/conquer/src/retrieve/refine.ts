import { aten, cat, F, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { eachReranked, type KReciprocalOptions, neighboursNeeded } from '../neighbours/k-reciprocal.js';
import { rankedByRows } from '../neighbours/ranked-set.js';
import { joinedRows } from './index-rows.js';
import type { IndexSegment } from './index-segment.js';
import {
  type FoundRow,
  firstOfItems,
  type NearestRowsOptions,
  nearestRows,
  similarityOf,
} from './nearest-rows.js';

/** How an index's search is made to find more, at the price of time. */
export interface RefineOptions {
  /**
   * α query expansion: queries take up the k rows of the index that are most similar, each to the power of α, and search again.
   * Default k 3 and α 3.
   */
  expand?: { k?: number; alpha?: number } | null | undefined;
  /**
   * The nearest `candidates` images of a query (default 100) are ranked anew by mutual neighbours among themselves and the query, see
   * `eachReranked`; the others stay behind them. What one query finds does not depend on the others.
   */
  rerank?: (KReciprocalOptions & { candidates?: number }) | null | undefined;
}

const expandOptions = z.strictObject({ k: z.int().min(1).default(3), alpha: z.number().min(0).default(3) });
const candidatesOption = z.int().min(1).default(100);

/**
 * As `nearestRows`, expanded or re-ranked. The similarities are those of the query as it was given, so that they mean what they
 * always do; they need not fall along the answer.
 *
 * @param queries (Q, D) of length 1 @returns what belongs to the innermost open scope() is freed with it
 * @throws RangeError for options that are none
 */
export function refinedRows(
  segments: readonly IndexSegment[],
  queries: Tensor,
  k: number,
  { expand, rerank, ...how }: RefineOptions & NearestRowsOptions,
): FoundRow[][] {
  if (queries.size(0) === 0 || segments.every(({ rowCount }) => rowCount === 0))
    return nearestRows(segments, queries, k, how);
  const searched = expand ? expandedQueries(segments, queries, expand, how) : queries;
  const found = rerank
    ? reranked(segments, searched, { k, how, ...rerank })
    : nearestRows(segments, searched, k, how);
  return expand ? found.map((rows, query) => ofQuery(rows, queries.narrow(0, query, 1))) : found;
}

/** (F, D), the rows that were found. */
function rowsOf(found: readonly FoundRow[], dim: number): Tensor {
  const runs = found.map(({ segment, place, image }) => {
    return { rows: segment.rows, start: segment.table.firstRow(place) + image, count: 1 };
  });
  return joinedRows(runs, dim);
}

function expandedQueries(
  segments: readonly IndexSegment[],
  queries: Tensor,
  given: NonNullable<RefineOptions['expand']>,
  how: NearestRowsOptions,
): Tensor {
  const parsed = expandOptions.safeParse(given);
  if (!parsed.success)
    throw new RangeError(
      `a search: expected to expand by k neighbours, 1 or more, to a power alpha of at least 0, got ${JSON.stringify(given)}`,
    );
  const { k, alpha } = parsed.data;
  const sums = nearestRows(segments, queries, k, { ...how, per: 'image' }).map((found, query) => {
    // A similarity below 0 to a broken power is none, and counts as 0.
    const weights = found.map(({ similarity }) =>
      Number.isInteger(alpha) ? similarity ** alpha : Math.max(0, similarity) ** alpha,
    );
    const rows = rowsOf(found, queries.size(1)).to({ dtype: 'float64' });
    const sum = rows.mul(tensor(weights, { shape: [weights.length, 1], dtype: 'float64' })).sum(0, true);
    return queries.narrow(0, query, 1).to({ dtype: 'float64' }).add(sum);
  });
  return F.normalize(cat(sums)).to({ dtype: 'float32' });
}

function reranked(
  segments: readonly IndexSegment[],
  queries: Tensor,
  {
    k,
    how,
    candidates,
    ...options
  }: { k: number; how: NearestRowsOptions } & NonNullable<RefineOptions['rerank']>,
): FoundRow[][] {
  const parsed = candidatesOption.safeParse(candidates);
  if (!parsed.success)
    throw new RangeError(
      `a search: expected to re-rank a whole number of candidates, 1 or more, got ${candidates}`,
    );
  const nearest = nearestRows(segments, queries, Math.max(parsed.data, k), { ...how, per: 'image' });
  // Beyond the candidates, and where several of them are images of one item.
  const others = how.per === 'item' ? nearestRows(segments, queries, k, how) : nearest;
  return nearest.map((near, query) => {
    const found = near.slice(0, parsed.data);
    const rows = cat([queries.narrow(0, query, 1), rowsOf(found, queries.size(1))]);
    const order = found.map((row, at) => ({ row, at, distance: 0 }));
    eachReranked(
      rankedByRows(rows, neighboursNeeded(options)),
      options,
      { queries: 1, gallery: { start: 1, count: found.length } },
      ({ distances }) => {
        for (const one of order) one.distance = distances[one.at]!;
      },
    );
    order.sort((a, b) => a.distance - b.distance || a.at - b.at);
    const all = [...order.map(({ row }) => row), ...others[query]!];
    return (how.per === 'item' ? firstOfItems(all) : firstOfImages(all)).slice(0, k);
  });
}

function firstOfImages(rows: readonly FoundRow[]): FoundRow[] {
  const seen = new Set<string>();
  const numbers = new Map<IndexSegment, number>();
  return rows.filter(({ segment, place, image }) => {
    if (!numbers.has(segment)) numbers.set(segment, numbers.size);
    const key = `${numbers.get(segment)} ${place} ${image}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** The same rows with their similarity to the query itself. */
function ofQuery(found: readonly FoundRow[], query: Tensor): FoundRow[] {
  const rows = rowsOf(found, query.size(1)).to({ dtype: 'float64' });
  const distances = aten.linalg_vector_norm(rows.sub(query.to({ dtype: 'float64' })), 2, [1]).toNumbers();
  return found.map((row, at) => ({ ...row, similarity: similarityOf(distances[at]!) }));
}
