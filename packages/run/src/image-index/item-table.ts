import type { IndexItem } from './index-item.js';

/** The items of a segment and which of its rows are whose. The rows of an item lie together, in the order of the items. */
export interface ItemTable {
  /** N, items. */
  readonly count: number;
  /** R, rows. */
  readonly rows: number;
  /** @param place 0…N − 1 */
  item(place: number): IndexItem;
  /** Place of the item whose row it is. @param row 0…R − 1 */
  placeOfRow(row: number): number;
  /** The first row of an item; of N: R. */
  firstRow(place: number): number;
  /** Place of the item of this id; undefined: there is none. */
  find(id: string): number | undefined;
  /** All, in order. */
  items(): Iterable<IndexItem>;
  /** Frees what it holds open. */
  close(): void;
}

/** Items in memory, whose ids are different ones. */
export class ItemList implements ItemTable {
  readonly #items: readonly IndexItem[];
  readonly #places = new Map<string, number>();
  /** (N + 1,) */
  readonly #firstRows: Uint32Array;
  /** (R,) */
  readonly #placesOfRows: Uint32Array;

  /** @throws RangeError where an id is there twice */
  constructor(items: readonly IndexItem[]) {
    this.#items = items;
    this.#firstRows = new Uint32Array(items.length + 1);
    for (const [place, { id, images }] of items.entries()) {
      if (this.#places.has(id))
        throw new RangeError(`an index holds each item once, but ${id} is there twice`);
      this.#places.set(id, place);
      this.#firstRows[place + 1] = this.#firstRows[place]! + images.length;
    }
    this.#placesOfRows = new Uint32Array(this.rows);
    for (const [place] of items.entries())
      this.#placesOfRows.fill(place, this.#firstRows[place]!, this.#firstRows[place + 1]!);
  }

  get count(): number {
    return this.#items.length;
  }

  get rows(): number {
    return this.#firstRows[this.#items.length]!;
  }

  item(place: number): IndexItem {
    return this.#items[place]!;
  }

  placeOfRow(row: number): number {
    return this.#placesOfRows[row]!;
  }

  firstRow(place: number): number {
    return this.#firstRows[place]!;
  }

  find(id: string): number | undefined {
    return this.#places.get(id);
  }

  items(): Iterable<IndexItem> {
    return this.#items;
  }

  close(): void {}
}
