import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { DamagedFile } from '../disk/regular-file.js';
import { hashOf, slotsFor } from './id-hash.js';
import { type IndexItem, itemLine, itemOfLine } from './index-item.js';
import type { ItemTable } from './item-table.js';
import { SegmentFile } from './segment-file.js';

// A segment's items are two files, so that one of a million is found without reading the others:
// NAME.items: a line of JSON each;
// NAME.table: where each line begins (float64, N + 1), the first row of each (uint32, N + 1), the place of each row's item
// (uint32, R), and a hash table of the ids (uint32, places from 1, 0 where there is none; the next slot where one is taken).

/** Lines that are read at a time by `items`. */
const LINES = 4096;
/** Places whose lines' beginnings are kept once one of them was asked for: a search asks for some, anywhere. */
const PAGE = 512;
/** Characters of lines that are written at a time. */
const WRITTEN = 1 << 20;

const layout = (count: number, rows: number) => {
  const firstRows = 8 * (count + 1);
  const places = firstRows + 4 * (count + 1);
  const slots = places + 4 * rows;
  return { firstRows, places, slots, size: slots + 4 * slotsFor(count) };
};

/** How many items and rows a segment has. */
export interface SegmentSize {
  items: number;
  rows: number;
}

/**
 * Writes the two files of a segment's items, new ones.
 * @param path of the segment, without an extension
 * @returns SHA-256 of both
 */
export function writeItems(path: string, items: Iterable<IndexItem>, { items: count, rows }: SegmentSize) {
  const starts = new Float64Array(count + 1);
  const firstRows = new Uint32Array(count + 1);
  const places = new Uint32Array(rows);
  const slots = new Uint32Array(slotsFor(count));
  let at = 0;
  using lines = new SegmentFile(`${path}.items`);
  let text = '';
  let place = 0;
  for (const item of items) {
    const line = itemLine(item);
    text += line;
    at += Buffer.byteLength(line);
    starts[place + 1] = at;
    const first = firstRows[place]!;
    firstRows[place + 1] = first + item.images.length;
    places.fill(place, first, first + item.images.length);
    let slot = hashOf(item.id) % slots.length;
    while (slots[slot] !== 0) slot = (slot + 1) % slots.length;
    slots[slot] = ++place;
    if (text.length < WRITTEN) continue;
    lines.write(Buffer.from(text));
    text = '';
  }
  lines.write(Buffer.from(text));
  using table = new SegmentFile(`${path}.table`);
  for (const { buffer } of [starts, firstRows, places, slots]) table.write(new Uint8Array(buffer));
  return { items: lines.end(), table: table.end() };
}

/** A segment's items in its files. */
export class StoredItems implements ItemTable {
  readonly count: number;
  readonly rows: number;
  readonly #lines: number;
  readonly #table: number;
  readonly #at: ReturnType<typeof layout>;
  /** Of the table, by their number: 8 bytes an item at the most. */
  readonly #pages = new Map<number, Float64Array>();

  /**
   * @param path of the segment, without an extension
   * @throws DamagedFile where a file has not the length that it should have; a system's error where one is missing
   */
  constructor(path: string, { items, rows }: SegmentSize) {
    this.count = items;
    this.rows = rows;
    this.#at = layout(items, rows);
    this.#lines = openSync(`${path}.items`, 'r');
    try {
      this.#table = openSync(`${path}.table`, 'r');
    } catch (error) {
      closeSync(this.#lines);
      throw error;
    }
    const { size } = fstatSync(this.#table);
    if (size === this.#at.size && this.#starts(items, 1)[0] === fstatSync(this.#lines).size) return;
    this.close();
    throw new DamagedFile(`${path}: its items are cut off`);
  }

  item(place: number): IndexItem {
    const page = Math.floor(place / PAGE);
    let starts = this.#pages.get(page);
    if (starts === undefined) {
      // One more, where the last of them ends.
      starts = this.#starts(page * PAGE, Math.min(PAGE, this.count - page * PAGE) + 1);
      this.#pages.set(page, starts);
    }
    const [start = 0, end = 0] = starts.subarray(place % PAGE);
    return this.#itemOf(textOf(this.#lines, start, end - start));
  }

  #itemOf(line: string): IndexItem {
    try {
      return itemOfLine(line);
    } catch {
      throw new DamagedFile('an item of it is no JSON');
    }
  }

  placeOfRow(row: number): number {
    // Every item has a row: as many of both are one each.
    return this.rows === this.count ? row : this.#number(this.#at.places + 4 * row);
  }

  firstRow(place: number): number {
    return this.rows === this.count ? place : this.#number(this.#at.firstRows + 4 * place);
  }

  find(id: string): number | undefined {
    const slots = slotsFor(this.count);
    let slot = hashOf(id) % slots;
    for (let tried = 0; tried < slots; tried++, slot = (slot + 1) % slots) {
      const place = this.#number(this.#at.slots + 4 * slot);
      if (place === 0) return undefined;
      if (place <= this.count && this.item(place - 1).id === id) return place - 1;
    }
    return undefined;
  }

  *items(): Generator<IndexItem> {
    for (let place = 0; place < this.count; place += LINES) {
      const some = Math.min(LINES, this.count - place);
      const starts = this.#starts(place, some + 1);
      const [start, end] = [starts[0]!, starts[some]!];
      const lines = bytesOf(this.#lines, start, end - start)
        .toString('utf8')
        .split('\n');
      for (let i = 0; i < some; i++) yield this.#itemOf(lines[i]!);
    }
  }

  #starts(place: number, some: number): Float64Array {
    const { buffer, byteOffset } = bytesOf(this.#table, 8 * place, 8 * some);
    return new Float64Array(buffer, byteOffset, some);
  }

  #number(at: number): number {
    return bytesOf(this.#table, at, 4).readUInt32LE();
  }

  close(): void {
    closeSync(this.#lines);
    closeSync(this.#table);
  }
}

/** What short texts are read into: a search reads a line of each item that it found. */
const scratch = Buffer.alloc(4096);

function textOf(file: number, start: number, length: number): string {
  const bytes = length >= 0 && length <= scratch.length ? scratch.subarray(0, length) : null;
  return (bytes ? read(file, start, bytes) : bytesOf(file, start, length)).toString('utf8');
}

/** In a buffer of their own. @throws DamagedFile where the file ends before */
function bytesOf(file: number, start: number, length: number): Buffer {
  if (!(length >= 0 && length < 2 ** 31)) throw new DamagedFile('its items are not where its table says');
  return read(file, start, Buffer.from(new ArrayBuffer(length)));
}

function read(file: number, start: number, bytes: Buffer): Buffer {
  for (let done = 0; done < bytes.length; ) {
    const some = readSync(file, bytes, done, bytes.length - done, start + done);
    if (some === 0) throw new DamagedFile('its items are cut off');
    done += some;
  }
  return bytes;
}
