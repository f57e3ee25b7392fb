import { didYouMean, UserError } from '@conquer-dml/run';
import { guardedKind } from './guarded-store.js';
import { lanceStore } from './lance-store.js';
import { pgvectorStore } from './pgvector-store.js';
import { sqliteStore } from './sqlite-store.js';
import type { StoreKind } from './vector-store.js';

/** Kinds of stores. */
export const STORES: readonly StoreKind[] = [lanceStore, pgvectorStore, sqliteStore].map(guardedKind);

/** conquer's own index, with its graph. */
export const OWN_STORE = 'usearch';

/** How stores are named, in a line. */
export const STORE_EXAMPLES = [
  ...STORES.map(({ name, place }) => `${name}:${place}`),
  `${OWN_STORE}:DIR`,
].join(', ');

export interface StoreAddress {
  /** null: conquer's own. */
  kind: StoreKind | null;
  place: string;
}

/** The store that a text names, as `sqlite:photos.db`; null: it names none, but a path. */
export function storeAddress(text: string): StoreAddress | null {
  const at = text.indexOf(':');
  const name = text.slice(0, Math.max(0, at));
  const kind = STORES.find((one) => one.name === name) ?? null;
  if (kind === null && name !== OWN_STORE) return null;
  const place = text.slice(at + 1);
  if (place === '')
    throw new UserError(`${text}: expected ${name}:${kind?.place ?? 'DIR'}, got nothing behind the colon`);
  return { kind, place };
}

/** @throws UserError where it names none */
export function requiredStore(text: string): StoreAddress {
  const address = storeAddress(text);
  if (address !== null) return address;
  const names = [...STORES.map(({ name }) => name), OWN_STORE];
  throw new UserError(`expected ${STORE_EXAMPLES}, got ${text}${didYouMean(text.split(':')[0]!, names)}`);
}

/** Of conquer's own index the path, however it is named. */
export function placeOf(text: string): string {
  const address = storeAddress(text);
  return address !== null && address.kind === null ? address.place : text;
}

/**
 * The path of what has to lie in a folder: conquer's own index, however it is named, or what is no index at all.
 * @throws UserError where it names a store of others
 */
export function folderOf(text: string): string {
  if (storeAddress(text)?.kind)
    throw new UserError(
      `${text}: expected an index in a folder, this one is in a store (${OWN_STORE}:DIR is one in a folder)`,
    );
  return placeOf(text);
}
