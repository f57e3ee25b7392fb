import { CLOSE, nearestFirst } from './row-graph.js';
import type { StoreGraph } from './stores/store-record.js';
import type { NearRow, StoredItem, VectorStore } from './stores/vector-store.js';

/** An item that was found, and which of its images is near. */
export interface FoundItem {
  item: StoredItem;
  image: number;
  /** Euclidean, of rows of length 1. */
  distance: number;
}

export interface NearestItemsOptions {
  /** 'item': of each item its nearest image alone. */
  per: 'item' | 'image';
  /** Only items that have this label. */
  label: string | null;
  /** The store's own index; null: all rows are compared. */
  graph: StoreGraph | null;
  /** How many rows the store holds. */
  rows: number;
}

/** The k nearest items of a query of length 1: candidates by the store, their order by the exact distances. */
export async function nearestItems(
  store: VectorStore,
  query: Float32Array,
  k: number,
  { per, label, graph, rows }: NearestItemsOptions,
): Promise<FoundItem[]> {
  // However many are asked for, there are no more.
  const most = Math.min(k, rows);
  // What was proven of so many nearest is taken in proportion for more.
  let wide = graph ? Math.max(most + CLOSE, Math.ceil((graph.width * most) / graph.k)) : most + CLOSE;
  for (; ; wide *= 4) {
    const near = await store.nearest(query, wide, { label, width: graph && wide });
    const found = await itemsOf(store, query, near);
    const wanted = per === 'image' ? found : firstOfItems(found);
    if (wanted.length >= k || near.length < wide) return wanted.slice(0, k);
  }
}

/** Nearest first; of equally near ones those that were added first. Rows of no item are passed over. */
async function itemsOf(
  store: VectorStore,
  query: Float32Array,
  near: readonly NearRow[],
): Promise<FoundItem[]> {
  const items = new Map<number, StoredItem>();
  for (const item of await store.itemsByKey([...new Set(near.map(({ item }) => item))]))
    items.set(item.first, item);
  const owners = new Map(near.map(({ key, item }) => [key, item] as const));
  return exactDistances(query, near).flatMap(({ key, distance }) => {
    const item = items.get(owners.get(key)!);
    return item === undefined ? [] : [{ item, image: key - item.first, distance }];
  });
}

/** Nearest first, by the distances of the rows themselves. */
export function exactDistances(query: Float32Array, near: readonly NearRow[]) {
  const distances = Float32Array.from(near, ({ row }) => {
    let sum = 0;
    for (let i = 0; i < row.length; i++) sum += (query[i]! - row[i]!) ** 2;
    return Math.sqrt(sum);
  });
  const keys = near.map(({ key }) => key);
  return nearestFirst(keys, distances).map(({ row: key, distance }) => ({ key, distance }));
}

function firstOfItems(found: readonly FoundItem[]): FoundItem[] {
  const seen = new Set<number>();
  return found.filter(({ item: { first } }) => !seen.has(first) && seen.add(first));
}
