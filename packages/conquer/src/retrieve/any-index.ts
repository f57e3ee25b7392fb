import { existsSync } from 'node:fs';
import { ImageIndex } from './image-index.js';
import type { OpenIndexOptions } from './index-options.js';
import { StoreIndex } from './store-index.js';
import { requiredStore, storeAddress } from './stores/stores.js';

/** Searched and changed alike; what a folder does at once, a store does when its promise is settled. */
export type AnyIndex = ImageIndex | StoreIndex;

/**
 * Opens an index of conquer's own, or one in a store.
 * @param text a path, or what `--store` names: `lancedb:DIR`, `pgvector:URL`, `sqlite:FILE`, `usearch:DIR`
 * @throws UserError as `ImageIndex.open` and `StoreIndex.open`
 */
export async function openAnyIndex(
  text: string,
  options: OpenIndexOptions & { write?: boolean } = {},
): Promise<AnyIndex> {
  const address = storeAddress(text);
  // A store whose name is mistyped, not a path.
  if (address === null && /^\w+:/.test(text) && !existsSync(text)) requiredStore(text);
  if (address === null) return ImageIndex.open(text, options);
  if (address.kind === null) return ImageIndex.open(address.place, options);
  return await StoreIndex.open(text, options);
}
