import { UserError } from '@conquer-dml/run';
import { meanShare } from './graph-proof.js';
import { CERTAIN, CLOSE, WIDTHS } from './row-graph.js';
import { exactDistances } from './store-search.js';
import type { StoreGraph } from './stores/store-record.js';
import type { VectorStore } from './stores/vector-store.js';

export interface BuildStoreOptions {
  /** The share of the exact nearest that is to be found; default 0.99. */
  recall?: number | undefined;
  /** How many nearest that is about; default 10. */
  k?: number | undefined;
  /** By so many queries, each of which an exact search reads all rows for; default 128. */
  queries?: number | undefined;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/**
 * Asks a store for the nearest of some of its rows, exactly and by its own index.
 * @returns the least number of candidates that finds enough
 * @throws UserError where none does; RangeError for a recall that is not above 0 and at most 1
 */
export async function provenWidth(
  store: VectorStore,
  rows: number,
  { recall: wanted = 0.99, k = 10, queries: count = 128, onProgress }: BuildStoreOptions,
): Promise<StoreGraph> {
  if (!(wanted > 0 && wanted <= 1))
    throw new RangeError(`a graph: expected a recall above 0 and at most 1, got ${wanted}`);
  const queries = await store.rows(await someKeys(store, rows, count));
  const exact: Float64Array[] = [];
  for (const query of queries) {
    exact.push(await distances(store, query, k + 1, null));
    onProgress?.({ done: exact.length, total: queries.length });
  }
  let best = 0;
  for (const width of WIDTHS) {
    const shares: number[] = [];
    for (const [at, query] of queries.entries()) {
      const found = await distances(store, query, Math.max(width, k + 1 + CLOSE), width);
      // By distance: of many copies of a row any will do. The query itself, at 0, says nothing.
      const nearest = exact[at]!.slice(1, k + 1);
      const last = nearest.at(-1);
      if (last === undefined) continue;
      const same = found.slice(1, k + 1).filter((distance) => distance <= last * (1 + 1e-6)).length;
      shares.push(same / nearest.length);
    }
    const { recall, error } = meanShare(shares);
    best = Math.max(best, recall);
    if (recall - CERTAIN * error >= wanted) return { width, recall, k, queries: queries.length, rows };
    if (width >= rows) break;
  }
  throw new UserError(
    `${store.name}: its index finds ${best.toFixed(3)} of the ${k} nearest, expected ${wanted}: search it exactly`,
  );
}

async function distances(store: VectorStore, query: Float32Array, k: number, width: number | null) {
  const near = await store.nearest(query, k, {
    label: null,
    width: width === null ? null : Math.max(width, k),
  });
  return Float64Array.from(exactDistances(query, near), ({ distance }) => distance);
}

/** Keys of rows from all over. */
async function someKeys(store: VectorStore, rows: number, count: number): Promise<number[]> {
  const step = Math.max(1, rows / count);
  const keys: number[] = [];
  let row = 0;
  for await (const { first, images } of store.items()) {
    if (row >= Math.floor(keys.length * step) && keys.length < count) keys.push(first);
    row += images.length;
  }
  return keys;
}
