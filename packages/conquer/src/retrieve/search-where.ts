import type { RowData } from '../row-data.js';
import type { AnyIndex } from './any-index.js';
import type { IndexSearchOptions } from './index-options.js';
import type { Match } from './match.js';
import { StoreIndex } from './store-index.js';

/**
 * As `search`, of the items alone that are wanted: of more and more that are near, until there are k, or no more.
 * @param isWanted an item, as a match of it
 */
export async function searchWhere(
  index: AnyIndex,
  queries: RowData,
  k: number,
  isWanted: (match: Match) => boolean,
  options: IndexSearchOptions = {},
): Promise<Match[][]> {
  for (let width = k; ; width *= 4) {
    const found = await index.search(queries, width, options);
    const wanted = found.map((matches) => matches.filter(isWanted));
    // A list that is shorter than it might be is at its end, as where all that follow are too unlike.
    const isDone = (matches: readonly Match[], query: number) =>
      matches.length >= k || found[query]!.length < width;
    if (width >= index.imageCount || wanted.every(isDone))
      return wanted.map((matches) => matches.slice(0, k));
  }
}

/** As `search`, of the items alone that have this label; null: of all. */
export async function searchLabelled(
  index: AnyIndex,
  queries: RowData,
  k: number,
  label: string | null,
  options: IndexSearchOptions = {},
): Promise<Match[][]> {
  if (label === null) return await index.search(queries, k, options);
  if (index instanceof StoreIndex) return await index.search(queries, k, { ...options, label });
  return await searchWhere(index, queries, k, ({ labels }) => labels.includes(label), options);
}
