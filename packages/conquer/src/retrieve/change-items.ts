import type { IndexItem } from '@conquer-dml/run';
import { cat, scope, type Tensor } from '@conquer-dml/torch';
import type { ImageIndex } from './image-index.js';
import type { StoreIndex } from './store-index.js';

/** An item as it is wanted, and where its rows come from. */
export interface ItemChange {
  item: IndexItem;
  /** Whether they are the rows that it has, in their order. */
  isSame: boolean;
  /** Of each image which row of the item as it was, or else, where that is −1, which of the rows that were made now. */
  rows: readonly { old: number; made: number }[];
}

export interface ItemChanges {
  changes: readonly ItemChange[];
  /** Ids of items that go. */
  gone: readonly string[];
  /** The rows that were made now. */
  embedded: Tensor;
}

export function changeIndex(index: ImageIndex, { changes, gone, embedded }: ItemChanges): void {
  scope(() => {
    const rows = changes.flatMap((change) => {
      const old = change.rows.some((row) => row.old >= 0) ? index.rows(change.item.id)! : null;
      return rowsOf(change, old, embedded);
    });
    index.remove(gone);
    if (changes.length === 0) return;
    index.put(
      cat(rows),
      changes.map(({ item }) => item),
    );
  });
}

export async function changeStore(
  store: StoreIndex,
  { changes, gone, embedded }: ItemChanges,
): Promise<void> {
  const put = changes.filter(({ isSame }) => !isSame);
  const relabel = changes.filter(({ isSame }) => isSame).map(({ item }) => item);
  const known = new Map<string, Tensor>();
  for (const { item, rows } of put)
    if (rows.some(({ old }) => old >= 0)) known.set(item.id, (await store.rows(item.id))!);
  const rows =
    put.length === 0
      ? null
      : scope(() =>
          cat(put.flatMap((change) => rowsOf(change, known.get(change.item.id) ?? null, embedded))),
        );
  for (const old of known.values()) old.dispose();
  using own = rows;
  await store.change({
    remove: gone,
    relabel,
    put: put.map(({ item }) => item),
    ...(own && { rows: own }),
  });
}

const rowsOf = ({ rows }: ItemChange, old: Tensor | null, embedded: Tensor): Tensor[] =>
  rows.map((row) => (row.old >= 0 ? old!.narrow(0, row.old, 1) : embedded.narrow(0, row.made, 1)));
