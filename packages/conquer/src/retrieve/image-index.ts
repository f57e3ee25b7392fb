import {
  type Calibration,
  IndexFolder,
  type IndexItem,
  type IndexOrigin,
  ItemList,
  indexItem,
  type NewIndexItem,
  UserError,
} from '@conquer-dml/run';
import { noGrad, scope, type Tensor } from '@conquer-dml/torch';
import { type RowData, rowsFrom } from '../row-data.js';
import { readEarlierIndex } from './earlier-index.js';
import type { Embedder } from './embedder.js';
import { indexThreshold, requireCalibrationOf } from './index-calibration.js';
import type { IndexLock, IndexSearchOptions, OpenIndexOptions, SaveIndexOptions } from './index-options.js';
import { joinedRows, type RowRun, rowsAt, unitRowsOf } from './index-rows.js';
import { IndexSegment, joinedSegment } from './index-segment.js';
import { blocksOf, type IndexBlock, inFolder, type Match, matchOf } from './match.js';
import { refinedRows } from './refine.js';
import type { BuildGraphOptions, GraphFacts } from './row-graph.js';
import { requireEmbedderOf, requireSameOrigin } from './same-embedder.js';
import {
  type IndexHome,
  type IndexParts,
  isEarlierIndex,
  readParts,
  sampleOf,
  writeParts,
} from './stored-index.js';

export type { IndexLock, IndexSearchOptions, OpenIndexOptions, SaveIndexOptions };

/**
 * Items with the rows of their images (a folder's, or of one's own), searched exactly by the cosine. On the disk it is a folder:
 * opening it reads next to nothing, and writing a change of a few items writes these.
 */
export class ImageIndex {
  #segments: IndexSegment[];
  readonly #dim: number;
  #origin: IndexOrigin | null;
  #calibration: Calibration | null;
  #home: IndexHome | null;

  private constructor({ segments, dim, origin, calibration }: IndexParts, home: IndexHome | null) {
    this.#segments = segments;
    this.#dim = dim;
    this.#origin = origin;
    this.#calibration = calibration;
    this.#home = home;
  }

  /** An index of nothing yet. @param origin where its rows will come from; null: they are made elsewhere */
  static empty(dim: number, origin: IndexOrigin | null = null): ImageIndex {
    return new ImageIndex({ segments: [], dim, origin, calibration: null }, null);
  }

  /**
   * An index of rows that were made elsewhere, by whatever model.
   *
   * @param rows one of D numbers for each image, see `RowData`; they are copied, and brought to length 1
   * @param items in the order of the rows, each with an id of its own
   * @throws RangeError where rows and items do not fit, an id is there twice, or a row has no direction
   */
  static of(rows: RowData, items: readonly NewIndexItem[]): ImageIndex {
    const whole = items.map(indexItem);
    const count = imagesOf(whole);
    return scope(() => {
      const given = rowsFrom('ImageIndex.of', rows, { count });
      const index = ImageIndex.empty(given.ndim === 2 ? given.size(1) : 0);
      index.#put('ImageIndex.of', given, whole);
      return index;
    });
  }

  /**
   * Opens an index; it belongs to the caller, who disposes it. Its folder of images and its run are found where they were, or
   * where they lie as seen from the index, if all were moved together.
   *
   * @param path the folder of an index, or the file of one of an earlier version, which is read as a whole
   * @throws UserError when it is missing, damaged, or no index, or the folder that is given is another one
   */
  static open(path: string, { folder }: OpenIndexOptions = {}): ImageIndex {
    if (isEarlierIndex(path)) return new ImageIndex(readEarlierIndex(path, folder), null);
    const { home, ...parts } = readParts(path, folder);
    return new ImageIndex(parts, home);
  }

  /** Takes the right to write an index, before it is opened, until this is disposed. @throws UserError where another has it */
  static lock(path: string): IndexLock {
    const folder = new IndexFolder(path);
    return { path: folder.path, [Symbol.dispose]: folder.lock() };
  }

  /** Reads all of an index and compares it with its checksums, which opening does not. @throws UserError where it is damaged */
  static check(path: string): void {
    if (isEarlierIndex(path)) ImageIndex.open(path).dispose();
    else new IndexFolder(path).check();
  }

  /** D, the numbers of a row. */
  get dim(): number {
    return this.#dim;
  }

  /** Items. */
  get count(): number {
    return this.#segments.reduce((sum, { count }) => sum + count, 0);
  }

  /** Images of all items, each of which has a row. */
  get imageCount(): number {
    return this.#segments.reduce((sum, { rowCount }) => sum + rowCount, 0);
  }

  /** Where its rows come from; null: they were made elsewhere. */
  get origin(): IndexOrigin | null {
    return this.#origin;
  }

  /** What a similarity means here; null: not known. */
  get calibration(): Calibration | null {
    return this.#calibration;
  }

  /** @throws RangeError for a calibration of another embedder than the rows are of */
  set calibration(calibration: Calibration | null) {
    requireCalibrationOf(this.#origin, calibration);
    this.#calibration = calibration;
  }

  /**
   * From which similarity on no more than this share of pairs of different classes is taken for the same.
   * @throws UserError where the index is not calibrated, or its calibration does not support this rate
   */
  threshold(maxFalseMatch: number): number {
    return indexThreshold(this.#calibration, maxFalseMatch);
  }

  /** How its graph was made, and how well it finds; null: there is none. */
  get graph(): GraphFacts | null {
    return this.#segments.find(({ graph }) => graph !== null)?.graph ?? null;
  }

  /**
   * Builds a graph of the rows, for approximate searches; it is kept when the index is saved. What is added later is searched exactly
   * beside it. All rows become one segment for it.
   * @throws UserError where usearch is not installed, or no graph finds the wanted share of the nearest; RangeError for an empty index
   */
  buildGraph(options: BuildGraphOptions = {}): void {
    const [first, ...others] = this.#segments.filter(({ rowCount }) => rowCount > 0);
    if (first === undefined) throw new RangeError('a graph: expected one image or more, got none');
    const whole = others.length === 0 ? first : joinedSegment([first, ...others], this.#dim);
    for (const segment of this.#segments) if (segment !== whole) segment.dispose();
    this.#segments = [whole];
    whole.buildGraph(options);
  }

  /** Some of its images, to recognise their folder by. */
  get sample() {
    return sampleOf(this.#segments);
  }

  /** The item of this id. */
  item(id: string): IndexItem | undefined {
    const found = this.#find(id);
    return found?.segment.table.item(found.place);
  }

  /** All items, those that were added first first. */
  *items(): Generator<IndexItem> {
    for (const segment of this.#segments) for (const { item } of segment.items()) yield item;
  }

  /** (images, D), a copy of the rows of this item, to find what is near it; the caller disposes it. */
  rows(id: string): Tensor | undefined {
    const found = this.#find(id);
    return found && joinedRows([runOf(found)], this.#dim);
  }

  /** (images, D), a copy of all rows in the order of the items; the caller disposes it. */
  allRows(): Tensor {
    return joinedRows(
      this.#segments.flatMap((segment) => [...segment.runs()]),
      this.#dim,
    );
  }

  /** (places.length, D), a copy of some rows, by where they stand among all; the caller disposes it. */
  rowsOf(places: readonly number[]): Tensor {
    using all = this.allRows();
    return rowsAt(all, places);
  }

  /** All rows in pieces of at most `size`, with the images that they are of. They are for reading, and gone at the next piece. */
  *blocks(size: number): Generator<IndexBlock> {
    for (const segment of this.#segments) yield* blocksOf(segment, size, this.#origin?.folder ?? null);
  }

  #find(id: string): { segment: IndexSegment; place: number } | undefined {
    for (let at = this.#segments.length - 1; at >= 0; at--) {
      const segment = this.#segments[at]!;
      const place = segment.find(id);
      if (place !== undefined) return { segment, place };
    }
    return undefined;
  }

  /**
   * Adds items with their rows, behind those that are there.
   *
   * @param rows one of D numbers for each image, see `RowData`, made by the model that made the others; they are copied
   * @throws RangeError where rows and items do not fit each other or the index, an id is there already, or a row has no
   *   direction; nothing is added then
   */
  add(rows: RowData, items: readonly NewIndexItem[]): void {
    const whole = items.map(indexItem);
    const there = whole.find(({ id }) => this.#find(id) !== undefined);
    if (there)
      throw new RangeError(`an index holds each item once, but ${there.id} is there already: update it`);
    scope(() => this.#put('ImageIndex.add', rowsFrom('ImageIndex.add', rows, { dim: this.#dim }), whole));
  }

  /** As `add`, in the place of items of these ids where there are any; labels and payload are what is given now. */
  update(rows: RowData, items: readonly NewIndexItem[]): void {
    this.put(rows, items.map(indexItem));
  }

  /** As `update`, of whole items: with the files that their images are. */
  put(rows: RowData, items: readonly IndexItem[]): void {
    scope(() =>
      this.#put('ImageIndex.update', rowsFrom('ImageIndex.update', rows, { dim: this.#dim }), items),
    );
  }

  #put(what: string, rows: Tensor, items: readonly IndexItem[]): void {
    const count = imagesOf(items);
    if (rows.ndim !== 2 || rows.size(0) !== count || rows.size(1) !== this.#dim)
      throw new RangeError(
        `${what}: expected (${count}, ${this.#dim}) rows, one for each image, got [${rows.shape}]`,
      );
    if (count === 0) return;
    const table = new ItemList(items);
    const own = unitRowsOf('an index', rows, (row) => `the row of ${table.item(table.placeOfRow(row)).id}`);
    for (const { id } of items) {
      const found = this.#find(id);
      if (found) found.segment.remove(found.place);
    }
    this.#segments.push(new IndexSegment(own.keep(), table));
    this.#joinSmall();
  }

  /** Segments of memory that are no longer than twice those behind them become one, so that many additions do not stay many. */
  #joinSmall(): void {
    for (;;) {
      const [before, last] = this.#segments.slice(-2);
      if (last === undefined || before === undefined) return;
      if (before.record !== null || before.table.rows > 2 * last.table.rows) return;
      this.#segments.splice(-2, 2, joinedSegment([before, last], this.#dim));
      for (const segment of [before, last]) segment.dispose();
    }
  }

  /**
   * Removes items and their rows; ids that are not there are passed over. An image of the folder comes back when the folder
   * is indexed again.
   * @returns how many were removed
   */
  remove(ids: Iterable<string>): number {
    let removed = 0;
    for (const id of ids) {
      const found = this.#find(id);
      if (found === undefined) continue;
      found.segment.remove(found.place);
      removed++;
    }
    return removed;
  }

  /**
   * Adds all items of another index, which stays as it is; and its calibration, where this one has none.
   * @throws UserError where it is of another embedder or of rows of another length; RangeError where an id is in both
   */
  merge(other: ImageIndex): void {
    if (other.dim !== this.#dim)
      throw new UserError(`an index of ${this.#dim} numbers a row cannot take rows of ${other.dim}`);
    const [own, from] = [this.#origin, other.origin];
    requireSameOrigin(own, from);
    const items = [...other.items()].map((item) => {
      if (this.#find(item.id))
        throw new RangeError(`both indexes hold an item ${item.id}: remove one of them`);
      return own === null || from === null ? item : inFolder(item, from.folder, own.folder);
    });
    using rows = other.allRows();
    this.#put('ImageIndex.merge', rows, items);
    this.#calibration ??= other.calibration;
  }

  /**
   * Sees to it that rows of an embedder are of use here.
   * @throws UserError where they would be compared with others: of other weights, or of images seen otherwise
   */
  requireEmbedder(embedder: Pick<Embedder, 'id' | 'view' | 'source'>): void {
    requireEmbedderOf(this.#origin, embedder);
  }

  /** That its images and its embedder are found elsewhere from now on. */
  moved(origin: IndexOrigin): void {
    this.#origin = origin;
  }

  /**
   * Writes the index into a folder: what has changed, where it was opened from there, or else all of it. Whenever this ends, the
   * old index or the new one is whole. docs/search.md says what is in it.
   *
   * @throws UserError where it cannot be written, another writer is at it or was since it was opened, or something else is there:
   *   an index of another folder or model, or no index
   */
  save(path: string, { compact = false, lock }: SaveIndexOptions = {}): void {
    if (isEarlierIndex(path))
      throw new UserError(
        `${path}: expected the name of a folder, it is a file; an index of an earlier version stays as it is`,
      );
    using _ = lock === undefined ? ImageIndex.lock(path) : null;
    const parts = {
      segments: this.#segments,
      dim: this.#dim,
      origin: this.#origin,
      calibration: this.#calibration,
    };
    const { segments, home } = writeParts(path, parts, { home: this.#home, compact });
    this.#segments = segments;
    this.#home = home;
  }

  /**
   * The exact nearest items of each query; of equally near ones those that were added first.
   *
   * @param queries Q rows of D finite numbers, not all zero, see `RowData`, embedded by what embedded the rows of this index; a
   *   tensor on the CPU
   * @returns for each query k matches, nearest first; fewer where the index has fewer items
   * @throws RangeError unless k is a positive integer, or for another D or a query without a direction; UserError where the
   *   embedder is another one
   */
  search(
    queries: RowData,
    k: number,
    { per = 'item', maxFalseMatch, approximate = false, embedder, ...refine }: IndexSearchOptions = {},
  ): Match[][] {
    if (embedder) this.requireEmbedder(embedder);
    if (!Number.isSafeInteger(k) || k < 1)
      throw new RangeError(`ImageIndex.search: expected k to be 1 or more, got ${k}`);
    if (approximate && !this.graph)
      throw new UserError(
        'the index has no graph for approximate searches: build it first (ImageIndex.buildGraph)',
      );
    const least = maxFalseMatch === undefined ? -1 : this.threshold(maxFalseMatch);
    const found = scope(() =>
      noGrad(() => {
        const rows = rowsFrom('ImageIndex.search', queries, { dim: this.#dim });
        if (rows.ndim !== 2 || rows.size(1) !== this.#dim)
          throw new RangeError(`ImageIndex.search: expected (Q, ${this.#dim}) queries, got [${rows.shape}]`);
        const unit = unitRowsOf('a search', rows, (row) => `the row of query ${row + 1}`);
        return refinedRows(this.#segments, unit, k, { per, approximate, ...refine });
      }),
    );
    const folder = this.#origin?.folder ?? null;
    const calibration = this.#calibration;
    return found.map((rows) =>
      rows.filter(({ similarity }) => similarity >= least).map((row) => matchOf(row, folder, calibration)),
    );
  }

  /** Frees the rows, and what was prepared of them. */
  dispose(): void {
    for (const segment of this.#segments) segment.dispose();
    this.#segments = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

const imagesOf = (items: readonly IndexItem[]): number =>
  items.reduce((sum, { images }) => sum + images.length, 0);

function runOf({ segment, place }: { segment: IndexSegment; place: number }): RowRun {
  const start = segment.table.firstRow(place);
  return { rows: segment.rows, start, count: segment.table.firstRow(place + 1) - start };
}
