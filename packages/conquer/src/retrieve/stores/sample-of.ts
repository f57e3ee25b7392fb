import { sampled } from '@conquer-dml/run';
import type { StoredItem, VectorStore } from './vector-store.js';

/** Images of some items, by which their folder is known again. */
export async function sampleOf(store: VectorStore) {
  // The first ones: not so even as of an index in memory, but read in one question.
  const items: StoredItem[] = [];
  for await (const item of store.items()) if (items.push(item) === 1024) break;
  return sampled(items.length, (at) => items[at]!.images).flat();
}
