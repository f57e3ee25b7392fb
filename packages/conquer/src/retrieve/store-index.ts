import {
  type Calibration,
  givenFolder,
  type IndexItem,
  type IndexOrigin,
  indexItem,
  isIndexOf,
  isSeenAlike,
  type NewIndexItem,
  originAt,
  storedOrigin,
  UserError,
} from '@conquer-dml/run';
import { type Tensor, tensor } from '@conquer-dml/torch';
import type { RowData } from '../row-data.js';
import type { Embedder } from './embedder.js';
import { indexThreshold, requireCalibrationOf } from './index-calibration.js';
import type { IndexSearchOptions, OpenIndexOptions } from './index-options.js';
import type { KnownItems } from './known-items.js';
import { type Match, matchOfItem } from './match.js';
import { similarityOf } from './nearest-rows.js';
import { requireEmbedderOf } from './same-embedder.js';
import { type BuildStoreOptions, provenWidth } from './store-recall.js';
import { storeBatches, unitNumbers } from './store-rows.js';
import { nearestItems } from './store-search.js';
import { sampleOf } from './stores/sample-of.js';
import { parsedRecord, type StoreGraph, type StoreRecord, storeRecord } from './stores/store-record.js';
import { requiredStore } from './stores/stores.js';
import type { StoredItem, StoreMode, VectorStore } from './stores/vector-store.js';

export interface StoreSearchOptions extends Omit<IndexSearchOptions, 'rerank' | 'expand'> {
  /** Only items that have this label; default: all. */
  label?: string | null | undefined;
}

/**
 * An index in a database of vectors: what `ImageIndex` is in a folder of its own. The database names rows that may be near; how
 * similar they are is computed here, from the float32 rows, so that similarities, thresholds and probabilities mean what they do
 * everywhere. Every change is in the database when its promise is settled, whole or not at all.
 */
export class StoreIndex {
  #record: StoreRecord;
  #calibration: Calibration | null;
  #counts: { items: number; rows: number };
  #origin: IndexOrigin | null;
  #graph: StoreGraph | null;
  #isNew = false;

  private constructor(
    private readonly store: VectorStore,
    record: StoreRecord,
    known: { counts: { items: number; rows: number }; origin: IndexOrigin | null; isBuilt: boolean },
  ) {
    this.#record = record;
    this.#calibration = record.calibration;
    this.#counts = known.counts;
    this.#origin = known.origin;
    this.#graph = known.isBuilt ? record.graph : null;
  }

  /**
   * Opens an index; it belongs to the caller, who closes it.
   * @param address as `lancedb:DIR`, `pgvector:URL` or `sqlite:FILE`
   * @param options.write whether it is opened to be changed, which some stores allow one process alone
   * @throws UserError where there is none, the store's package is not installed, or the folder that is given is another one
   */
  static async open(
    address: string,
    { folder, write = false }: OpenIndexOptions & { write?: boolean } = {},
  ): Promise<StoreIndex> {
    return await StoreIndex.#in(address, write ? 'write' : 'read', async (store) => {
      const text = await store.record();
      if (text !== null) return await StoreIndex.#of(store, parsedRecord(text, store.name), folder);
      throw new UserError(`${store.name}: expected an index that conquer index wrote, there is none`);
    });
  }

  /**
   * Opens an index to be changed; where there is none, or an empty one of rows of another length, an empty one is made.
   * @param dim of a new one @param origin of a new one
   * @throws UserError as `open`, or where a new one cannot hold rows of so many numbers
   */
  static async openOrCreate(
    address: string,
    dim: number,
    origin: IndexOrigin | null = null,
  ): Promise<StoreIndex> {
    return await StoreIndex.#in(address, 'create', async (store) => {
      const text = await store.record();
      if (text !== null) {
        const index = await StoreIndex.#of(store, parsedRecord(text, store.name), undefined);
        if (index.dim === dim || index.count > 0) return index;
        await store.drop(); // of a first filling that was ended
      }
      if (!(Number.isSafeInteger(dim) && dim >= 1 && dim <= store.mostNumbers))
        throw new UserError(`${store.name}: expected rows of 1 to ${store.mostNumbers} numbers, got ${dim}`);
      const stored = origin && storedOrigin(origin, store.path ?? '.');
      const record = storeRecord({ dim, origin: stored, calibration: null, graph: null });
      await store.create(dim, JSON.stringify(record));
      const index = await StoreIndex.#of(store, record, undefined);
      index.#isNew = true;
      return index;
    });
  }

  static async #in<T>(
    address: string,
    mode: StoreMode,
    work: (store: VectorStore) => Promise<T>,
  ): Promise<T> {
    const { kind, place } = requiredStore(address);
    if (kind === null)
      throw new UserError(`${address}: it is an index of conquer's own: ImageIndex opens ${place}`);
    const store = await kind.open(place, mode);
    try {
      return await work(store);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  static async #of(store: VectorStore, record: StoreRecord, folder: string | undefined): Promise<StoreIndex> {
    const counts = await store.counts();
    const { origin } = record;
    let found: IndexOrigin | null = null;
    if (origin !== null) {
      const images = await sampleOf(store);
      if (store.path !== null) found = originAt(origin, store.path, images, folder);
      else {
        const { relativeFolder: _, relativeSource: __, ...plain } = origin;
        found = folder === undefined ? plain : { ...plain, folder: givenFolder(folder, images, store.name) };
      }
    }
    return new StoreIndex(store, record, { counts, origin: found, isBuilt: await store.isBuilt() });
  }

  /** As a person is told of it. */
  get name(): string {
    return this.store.name;
  }

  /** D, the numbers of a row. */
  get dim(): number {
    return this.#record.dim;
  }

  /** Items, as of the last change from here. */
  get count(): number {
    return this.#counts.items;
  }

  /** Images of all items, each of which has a row. */
  get imageCount(): number {
    return this.#counts.rows;
  }

  /** Where its rows come from; null: they were made elsewhere. */
  get origin(): IndexOrigin | null {
    return this.#origin;
  }

  /** How well the store's own index finds; null: there is none, all rows are compared. */
  get graph(): StoreGraph | null {
    return this.#graph;
  }

  /** What a similarity means here; null: not known. It is kept by `save`. */
  get calibration(): Calibration | null {
    return this.#calibration;
  }

  /** @throws RangeError for a calibration of another embedder than the rows are of */
  set calibration(calibration: Calibration | null) {
    requireCalibrationOf(this.#origin, calibration);
    this.#calibration = calibration;
  }

  /** As `ImageIndex.threshold`. */
  threshold(maxFalseMatch: number): number {
    return indexThreshold(this.#calibration, maxFalseMatch);
  }

  /** As `ImageIndex.requireEmbedder`. */
  requireEmbedder(embedder: Pick<Embedder, 'id' | 'view' | 'source'>): void {
    requireEmbedderOf(this.#origin, embedder);
  }

  /** The item of this id. */
  async item(id: string): Promise<IndexItem | undefined> {
    const [found] = await this.store.itemsById([id]);
    return found && plain(found);
  }

  /** All items, those that were added first first. */
  async *items(): AsyncGenerator<IndexItem> {
    for await (const item of this.store.items()) yield plain(item);
  }

  /** All items, read into memory. */
  async known(): Promise<KnownItems> {
    const known = new Map<string, IndexItem>();
    for await (const item of this.items()) known.set(item.id, item);
    return { item: (id) => known.get(id), items: () => known.values() };
  }

  /** All items with the key of their first rows. */
  storedItems(): AsyncIterable<StoredItem> {
    return this.store.items();
  }

  /** (images, D), the rows of this item; the caller disposes it. */
  async rows(id: string): Promise<Tensor | undefined> {
    const [item] = await this.store.itemsById([id]);
    return item && (await this.rowsAt(item.images.map((_, image) => item.first + image)));
  }

  /** (keys.length, D), rows by their keys; the caller disposes it. */
  async rowsAt(keys: readonly number[]): Promise<Tensor> {
    const rows = await this.store.rows(keys);
    const all = new Float32Array(keys.length * this.dim);
    for (const [at, row] of rows.entries()) all.set(row, at * this.dim);
    return tensor(all, { shape: [keys.length, this.dim] }).keep();
  }

  /** As `ImageIndex.add`. */
  async add(rows: RowData, items: readonly NewIndexItem[]): Promise<void> {
    const whole = items.map(indexItem);
    const [there] = await this.store.itemsById(whole.map(({ id }) => id));
    if (there)
      throw new RangeError(`an index holds each item once, but ${there.id} is there already: update it`);
    await this.put(rows, whole);
  }

  /** As `ImageIndex.update`. */
  async update(rows: RowData, items: readonly NewIndexItem[]): Promise<void> {
    await this.put(rows, items.map(indexItem));
  }

  /** As `ImageIndex.put`. */
  async put(rows: RowData, items: readonly IndexItem[]): Promise<void> {
    await this.change({ rows, put: items });
  }

  /** Labels, payloads and files of items whose rows stay as they are; ids that are not there are passed over. */
  async relabel(items: readonly IndexItem[]): Promise<void> {
    await this.change({ relabel: items });
  }

  /** Removes items and their rows; ids that are not there are passed over. @returns how many were removed */
  async remove(ids: Iterable<string>): Promise<number> {
    const remove = [...new Set(ids)];
    // Not by counts: others may add and remove at the same time.
    const there = await this.store.itemsById(remove);
    await this.change({ remove });
    return there.length;
  }

  /**
   * Removes, relabels and puts items at once: afterwards all of it is there, or nothing.
   * @param change.rows of the images of `put`, one after the other
   * @throws RangeError where rows and items do not fit each other or the index, an id is there twice, or a row has no direction
   */
  async change({
    remove = [],
    relabel = [],
    put = [],
    rows = [],
  }: {
    remove?: readonly string[];
    relabel?: readonly IndexItem[];
    put?: readonly IndexItem[];
    rows?: RowData;
  }): Promise<void> {
    const ids = new Set<string>();
    for (const { id } of put) {
      if (ids.has(id)) throw new RangeError(`an index holds each item once, but ${id} is there twice`);
      ids.add(id);
    }
    const owners = put.flatMap(({ id, images }) => images.map(() => id));
    const unit = put.length === 0 ? new Float32Array(0) : unitNumbers('StoreIndex', rows, this.dim, owners);
    await this.store.change({ remove, relabel, put: storeBatches(put, unit, this.dim) });
    this.#counts = await this.store.counts();
  }

  /** Keeps what it is calibrated by. */
  async save(): Promise<void> {
    await this.#keep({ calibration: this.#calibration });
  }

  async #keep(changed: Partial<StoreRecord>): Promise<void> {
    this.#record = { ...this.#record, ...changed };
    await this.store.keep(JSON.stringify(this.#record));
  }

  /** Takes away an index that was made when this was opened and holds nothing yet; any other stays. Only to be disposed then. */
  async undoCreation(): Promise<void> {
    if (this.#isNew && (await this.store.counts()).items === 0) await this.store.drop();
  }

  /** That its images and its embedder are found elsewhere from now on. */
  async moved(origin: IndexOrigin): Promise<void> {
    this.#origin = origin;
    await this.#keep({ origin: storedOrigin(origin, this.store.path ?? '.') });
  }

  /**
   * Builds the store's own index for approximate searches, and asks it for the nearest of rows that it holds, beside an exact search: the
   * least number of candidates is kept that finds enough with 95 % of certainty.
   * @returns null: the store compares all rows, and needs none
   * @throws UserError where no number of candidates finds enough; RangeError for an empty index
   */
  async buildGraph(options: BuildStoreOptions = {}): Promise<StoreGraph | null> {
    if (this.imageCount === 0) throw new RangeError('a graph: expected one image or more, got none');
    await this.#keep({ graph: null });
    this.#graph = null;
    if (!(await this.store.build())) return null;
    const graph = await provenWidth(this.store, this.imageCount, options);
    await this.#keep({ graph });
    this.#graph = graph;
    return graph;
  }

  /**
   * The nearest items of each query, as `ImageIndex.search`: exactly, by comparing all rows, or by the store's own index.
   * @throws RangeError unless k is a positive integer, or for another D or a query without a direction; UserError where the
   *   embedder is another one, or an approximate search is asked for and the store's index was not built and proven
   */
  async search(
    queries: RowData,
    k: number,
    {
      per = 'item',
      maxFalseMatch,
      approximate = false,
      embedder,
      label = null,
      ...other
    }: StoreSearchOptions = {},
  ): Promise<Match[][]> {
    const refined = Object.entries(other).find(([, value]) => value != null)?.[0];
    if (refined !== undefined)
      throw new UserError(`${this.name}: an index in a store is searched as it is, without ${refined}`);
    if (embedder) this.requireEmbedder(embedder);
    if (!Number.isSafeInteger(k) || k < 1)
      throw new RangeError(`StoreIndex.search: expected k to be 1 or more, got ${k}`);
    if (approximate && this.#graph === null)
      throw new UserError(
        `${this.name} has no index for approximate searches: build it first (StoreIndex.buildGraph)`,
      );
    const least = maxFalseMatch === undefined ? -1 : this.threshold(maxFalseMatch);
    const unit = unitNumbers('a search', queries, this.dim, null);
    const folder = this.#origin?.folder ?? null;
    const found: Match[][] = [];
    for (let at = 0; at < unit.length; at += this.dim) {
      const query = unit.subarray(at, at + this.dim);
      const graph = approximate ? this.#graph : null;
      const near = await nearestItems(this.store, query, k, { per, label, graph, rows: this.imageCount });
      found.push(
        near.flatMap(({ item, image, distance }) => {
          const similarity = similarityOf(distance);
          return similarity < least
            ? []
            : [matchOfItem(item, { image, similarity, folder, calibration: this.#calibration })];
        }),
      );
    }
    return found;
  }

  /** Sees to it that rows of a folder by an embedder may stand here. @throws UserError where it holds others */
  async requireSpaceFor(embedder: Pick<Embedder, 'id' | 'dim' | 'view'>, folder: string): Promise<void> {
    const other = (what: string) =>
      new UserError(`${this.name} is an index ${what}: name another store, or remove that one`);
    if (embedder.dim !== this.dim) throw other(`of ${this.dim} numbers a row, not of ${embedder.dim}`);
    if (this.imageCount === 0) return;
    const origin = this.#origin;
    if (origin === null) throw other('of rows that no embedder made');
    if (origin.embedder !== embedder.id || !isSeenAlike(origin.preprocessing, embedder.view))
      throw other(
        `by ${origin.source ?? origin.embedder}, with other weights or settings than are given now`,
      );
    if (!isIndexOf({ origin, sample: await sampleOf(this.store) }, folder))
      throw other(`of ${origin.folder}`);
  }

  /** Leaves the store, which stays as it is. */
  async dispose(): Promise<void> {
    await this.store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

function plain({ first: _, ...item }: StoredItem): IndexItem {
  return item;
}
