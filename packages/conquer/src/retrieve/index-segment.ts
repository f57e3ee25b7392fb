import { readFileSync, statSync } from 'node:fs';
import {
  DamagedFile,
  type GraphRecord,
  type IndexFolder,
  type IndexItem,
  ItemList,
  type ItemTable,
  SegmentFile,
  type SegmentRecord,
  StoredItems,
  writeCopies,
  writeItems,
} from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import type { Neighbours } from '../neighbours/neighbours.js';
import { UnitGallery } from '../neighbours/unit-gallery.js';
import { joinedRows, mapRows, type RowRun, writeRows } from './index-rows.js';
import { type BuildGraphOptions, type GraphFacts, RowGraph } from './row-graph.js';

/** A part of an index: items and rows that stay as they are, some of them removed. */
export class IndexSegment {
  /** float32 (R, D) of length 1, of the items that are removed too. */
  readonly rows: Tensor;
  readonly table: ItemTable;
  /** What it is on the disk; null: it is in memory alone. */
  readonly record: SegmentRecord | null;
  /** A bit an item, the lowest of a byte first. */
  readonly #removed: Uint8Array;
  #removedItems = 0;
  #removedRows = 0;
  #changed = false;
  #gallery: UnitGallery | null = null;
  /** Open, or where it is to be opened from. */
  #graph: RowGraph | { file: string; record: GraphRecord } | null = null;

  /** Rows and table become its own. */
  constructor(
    rows: Tensor,
    table: ItemTable,
    stored?: { record: SegmentRecord; removed: Uint8Array | null },
  ) {
    this.rows = rows;
    this.table = table;
    this.record = stored?.record ?? null;
    this.#removed = stored?.removed ?? new Uint8Array(Math.ceil(table.count / 8));
    this.#removedItems = stored?.record.removed?.items ?? 0;
    this.#removedRows = stored?.record.removed?.rows ?? 0;
  }

  /**
   * Opens a segment of a folder; nothing is read but what is removed of it.
   * @throws DamagedFile where a file has not the length that it should have; a system's error where one is missing
   */
  static open(
    folder: IndexFolder,
    record: SegmentRecord,
    dim: number,
    graph: GraphRecord | null = null,
  ): IndexSegment {
    const { name, items, rows, removed } = record;
    const file = folder.file(`${name}.rows`);
    const { size } = statSync(file);
    if (size !== 4 * rows * dim)
      throw new DamagedFile(`${name}.rows holds ${size} bytes instead of ${4 * rows * dim}`);
    const bits = removed === null ? null : new Uint8Array(readFileSync(folder.file(removed.file)));
    if (bits !== null && bits.length !== Math.ceil(items / 8))
      throw new DamagedFile(`${removed!.file} is cut off`);
    const table = new StoredItems(folder.file(name), { items, rows });
    try {
      const segment = new IndexSegment(mapRows(file, rows, dim), table, { record, removed: bits });
      if (graph?.segment === name) segment.graphIn(folder, graph);
      return segment;
    } catch (error) {
      table.close();
      throw error;
    }
  }

  /** Items that are there. */
  get count(): number {
    return this.table.count - this.#removedItems;
  }

  /** Rows that are there. */
  get rowCount(): number {
    return this.table.rows - this.#removedRows;
  }

  /** Whether items have been removed that its record does not know of. */
  get changed(): boolean {
    return this.#changed;
  }

  has(place: number): boolean {
    return (this.#removed[place >> 3]! & (1 << (place & 7))) === 0;
  }

  /** Place of the item of this id, if it is there. */
  find(id: string): number | undefined {
    if (this.count === 0) return undefined;
    const place = this.table.find(id);
    return place !== undefined && this.has(place) ? place : undefined;
  }

  /** @param place of an item that is there */
  remove(place: number): void {
    this.#removed[place >> 3]! |= 1 << (place & 7);
    this.#removedItems++;
    this.#removedRows += this.table.firstRow(place + 1) - this.table.firstRow(place);
    this.#changed = true;
    this.#gallery?.dispose();
    this.#gallery = null;
  }

  /** Items that are there, with their places. */
  *items(): Generator<{ place: number; item: IndexItem }> {
    let place = 0;
    for (const item of this.table.items()) {
      if (this.has(place)) yield { place, item };
      place++;
    }
  }

  /** Rows that are there. */
  *runs(): Generator<RowRun> {
    const { rows, table } = this;
    for (let place = 0; place < table.count; ) {
      while (place < table.count && !this.has(place)) place++;
      const from = place;
      if (this.#removedItems === 0) place = table.count;
      while (place < table.count && this.has(place)) place++;
      const start = table.firstRow(from);
      const count = table.firstRow(place) - start;
      if (count > 0) yield { rows, start, count };
    }
  }

  #hidden(): Int32Array {
    const hidden = new Int32Array(this.#removedRows);
    const single = this.table.rows === this.table.count;
    let at = 0;
    for (let place = 0; this.#removedItems > 0 && place < this.table.count; place++) {
      if (this.has(place)) continue;
      const [first, next] = single
        ? [place, place + 1]
        : [this.table.firstRow(place), this.table.firstRow(place + 1)];
      for (let row = first; row < next; row++) hidden[at++] = row;
    }
    return hidden;
  }

  /**
   * The nearest rows of those that are there, see `UnitGallery`; by the graph, where there is one, `RowGraph`. A query of which the graph finds
   * too few is searched exactly.
   */
  nearest(queries: Tensor, k: number, approximate = false): Neighbours {
    if (!approximate || this.#graph === null) return this.#exact(queries, k);
    this.#graph =
      this.#graph instanceof RowGraph
        ? this.#graph
        : RowGraph.open(this.#graph.file, this.#graph.record, this.rows);
    const isThere = (row: number) => this.#removedItems === 0 || this.has(this.table.placeOfRow(row));
    const found = this.#graph.nearest(queries, k, this.rows, isThere);
    const last = Math.min(found.k, this.rowCount) - 1;
    for (let query = 0; query * found.k < found.indices.length; query++) {
      const at = query * found.k;
      if (last < 0 || found.indices[at + last] !== -1) continue;
      using own = queries.narrow(0, query, 1);
      const exact = this.#exact(own, found.k);
      found.indices.set(exact.indices, at);
      found.distances.set(exact.distances, at);
    }
    return found;
  }

  #exact(queries: Tensor, k: number): Neighbours {
    this.#gallery ??= new UnitGallery(this.rows, this.#hidden());
    return this.#gallery.nearest(queries, k);
  }

  /** How its graph was made; null: there is none. */
  get graph(): GraphFacts | null {
    return this.#graph instanceof RowGraph ? this.#graph.shape : (this.#graph?.record ?? null);
  }

  /** See `RowGraph.build`. */
  buildGraph(options: BuildGraphOptions): void {
    const places = new Int32Array(this.rowCount);
    let at = 0;
    for (const { start, count } of this.runs())
      for (let row = start; row < start + count; row++) places[at++] = row;
    const exact = (queries: Tensor, k: number) => this.nearest(queries, k);
    const built = RowGraph.build({ rows: this.rows, places, exact }, options);
    this.#forgetGraph();
    this.#graph = built;
  }

  /**
   * Its graph as it is kept in a folder, beside the segment as it is written there.
   *
   * @param isThere whether the segment's files stay, and with them a graph that is there
   * @returns null: there is none, or it is of rows that are written without those that were removed
   */
  keptGraph(folder: IndexFolder, segment: string, isThere: boolean): GraphRecord | null {
    if (this.#graph === null || (!isThere && this.#removedItems > 0)) return null;
    if (!(this.#graph instanceof RowGraph)) {
      if (isThere) return withCopiesApart(folder, this.#graph.record);
      this.#graph = RowGraph.open(this.#graph.file, this.#graph.record, this.rows);
    }
    if (isThere && this.#graph.record !== null) return withCopiesApart(folder, this.#graph.record);
    const file = `${folder.newName()}.graph`;
    const saved = this.#graph.save(folder.file(file));
    return withCopiesApart(folder, { ...this.#graph.shape, file, ...saved, segment });
  }

  /** That its graph is in a folder from now on. */
  graphIn(folder: IndexFolder, record: GraphRecord): void {
    this.#forgetGraph();
    this.#graph = { file: folder.file(record.file), record };
  }

  #forgetGraph(): void {
    if (this.#graph instanceof RowGraph) this.#graph.dispose();
    this.#graph = null;
  }

  /** Its record as it is now, what is removed of it written beside it. */
  updatedRecord(folder: IndexFolder, record: SegmentRecord): SegmentRecord {
    const name = `${folder.newName()}.removed`;
    using file = new SegmentFile(folder.file(name));
    file.write(this.#removed);
    file.end();
    return { ...record, removed: { file: name, items: this.#removedItems, rows: this.#removedRows } };
  }

  /** Frees the rows, and what was prepared of them. */
  dispose(): void {
    this.#gallery?.dispose();
    this.#gallery = null;
    this.#forgetGraph();
    this.rows.dispose();
    this.table.close();
  }
}

/** The record of a graph whose equal rows, where it has some, are listed in a file of their own: a manifest is written again with each change. */
function withCopiesApart(folder: IndexFolder, record: GraphRecord): GraphRecord {
  const { copies = [], ...others } = record;
  if ('file' in copies) return record;
  if (copies.length === 0) return others;
  const file = `${folder.newName()}.copies`;
  return { ...others, copies: { file, ...writeCopies(folder.file(file), copies) } };
}

/** Writes what is there of some segments as one into a folder. */
export function writeSegment(folder: IndexFolder, parts: readonly IndexSegment[]): SegmentRecord {
  const name = folder.newName();
  const items = parts.reduce((sum, { count }) => sum + count, 0);
  const rows = parts.reduce((sum, { rowCount }) => sum + rowCount, 0);
  function* runs() {
    for (const part of parts) yield* part.runs();
  }
  function* lines() {
    for (const part of parts) for (const { item } of part.items()) yield item;
  }
  const hash = writeRows(folder.file(`${name}.rows`), runs());
  const sha256 = { rows: hash, ...writeItems(folder.file(name), lines(), { items, rows }) };
  return { name, items, rows, sha256, removed: null };
}

/** What is there of some segments as one, in memory. */
export function joinedSegment(segments: readonly IndexSegment[], dim: number): IndexSegment {
  const rows = joinedRows(
    segments.flatMap((segment) => [...segment.runs()]),
    dim,
  );
  const items = segments.flatMap((segment) => [...segment.items()].map(({ item }) => item));
  return new IndexSegment(rows.keep(), new ItemList(items));
}
