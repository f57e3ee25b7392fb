import type { IndexItem } from '@conquer-dml/run';

/** An item as a store holds it: its images have the keys `first`, `first` + 1, … */
export interface StoredItem extends IndexItem {
  first: number;
}

/** A row that a store names as near. */
export interface NearRow {
  /** Of the row: whole numbers from 0, ascending as rows are added, never above 2^53. */
  key: number;
  /** Key of the first row of its item. */
  item: number;
  /** D numbers, as they were stored. */
  row: Float32Array;
}

export interface NearOptions {
  /** Only rows of items that have this label. */
  label: string | null;
  /** How many candidates the store's own index looks at; null: all rows are compared. */
  width: number | null;
}

/** Items with the rows of their images, one after the other. */
export interface StoreBatch {
  items: readonly IndexItem[];
  rows: Float32Array;
}

/** What changes at once: afterwards all of it is there, or, wherever it was ended, nothing. */
export interface StoreChange {
  /** Ids of items that go, with their rows. */
  remove: readonly string[];
  /** Items whose rows stay: labels, payload and files are these now. */
  relabel: readonly IndexItem[];
  /** Items that are new, or take the place of those of their ids. Each id once. */
  put: Iterable<StoreBatch>;
}

/**
 * A database of vectors. It is given rows of length 1 and gives rows back: what is similar to what is not its business, as no two
 * databases mean the same by it. It knows items by their numbers; ids are texts beside them.
 */
export interface VectorStore {
  /** As a person is told of it: without a password. */
  readonly name: string;
  /** Where it lies on the disk; null: elsewhere. */
  readonly path: string | null;
  /** The most numbers of a row that it can hold. */
  readonly mostNumbers: number;
  /** What was kept about the index, JSON; null: there is no index yet. */
  record(): Promise<string | null>;
  /** Makes an empty index of rows of `dim` numbers. */
  create(dim: number, record: string): Promise<void>;
  /** Takes away what `create` made, and, when it is closed, the folder or file that was made for it. */
  drop(): Promise<void>;
  keep(record: string): Promise<void>;
  /** How many items and rows there are. */
  counts(): Promise<{ items: number; rows: number }>;
  /** Items of these ids, as far as they are there, in any order. */
  itemsById(ids: readonly string[]): Promise<StoredItem[]>;
  /** Items whose first rows have these keys, as far as they are there, in any order. */
  itemsByKey(firsts: readonly number[]): Promise<StoredItem[]>;
  /** All items, those that were added first first. */
  items(): AsyncIterable<StoredItem>;
  /** Rows by their keys, all of which are there, in their order. */
  rows(keys: readonly number[]): Promise<Float32Array[]>;
  change(change: StoreChange): Promise<void>;
  /** The `k` nearest rows, in any order; fewer only where there are no more. Rows of items that are gone may be among them. */
  nearest(query: Float32Array, k: number, options: NearOptions): Promise<NearRow[]>;
  /** Builds the store's own index for approximate searches. @returns false: it has none, all searches compare all rows */
  build(): Promise<boolean>;
  /** Whether that index is there. */
  isBuilt(): Promise<boolean>;
  close(): Promise<void>;
}

export type StoreMode = 'read' | 'write' | 'create';

/** How a kind of store is opened. */
export interface StoreKind {
  name: string;
  /** What stands behind `name:`, for messages. */
  place: string;
  help: string;
  /** Its own ways to what is for an index in a folder alone, in words. */
  own: (place: string) => { check: string; compact: string };
  /**
   * @param mode 'create': it is made where it is not there
   * @throws UserError where its package is not installed, or it cannot be reached
   */
  open(place: string, mode: StoreMode): Promise<VectorStore>;
}

/** Items with the keys that their rows get, from `next` on. */
export function* keyed({ items, rows }: StoreBatch, next: number, dim: number) {
  let row = 0;
  for (const item of items) {
    const count = item.images.length;
    yield { item, first: next + row, rows: rows.subarray(row * dim, (row + count) * dim) };
    row += count;
  }
}

export const rowsOfBatch = ({ items }: StoreBatch): number =>
  items.reduce((sum, { images }) => sum + images.length, 0);

/** Lists in pieces of at most `size`. */
export function* inPieces<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}
