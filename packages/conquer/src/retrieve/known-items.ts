import type { IndexItem } from '@conquer-dml/run';

/** Items of an index that can be asked for at once. */
export interface KnownItems {
  item(id: string): IndexItem | undefined;
  items(): Iterable<IndexItem>;
}
