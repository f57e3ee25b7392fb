import { dirname, join } from 'node:path';
import {
  areCopies,
  DamagedFile,
  type EqualRows,
  type GraphRecord,
  isSystemError,
  readCopies,
} from '@conquer-dml/run';
import { scope, type Tensor } from '@conquer-dml/torch';
import { rowsAt } from './index-rows.js';

/** Rows that are looked at at a time. */
const ROWS = 8192;

/**
 * Which rows are copies of others, bit for bit.
 *
 * @param rows float32 (R, D) on the CPU
 * @param places of those that are looked at, ascending
 * @returns by the first of them
 */
export function rowCopies(rows: Tensor, places: Int32Array): Map<number, EqualRows> {
  const found = new Map<number, number[]>();
  const hashes = new Int32Array(places.length);
  // Of each slot the number, from 1, of a row; 0 for none, the next slot where one is taken.
  const slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * places.length + 1)));
  for (let start = 0; start < places.length; start += ROWS) {
    const some = places.subarray(start, start + ROWS);
    const numbers = scope(() => rowsAt(rows, [...some]).toTypedArray() as Float32Array);
    const bits = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
    const dim = numbers.length / some.length;
    for (const [at, place] of some.entries()) {
      let hash = 0x811c9dc5;
      for (let i = at * dim; i < (at + 1) * dim; i++) hash = Math.imul(hash ^ bits[i]!, 0x01000193);
      hash ^= hash >>> 15;
      hashes[start + at] = hash;
      let slot = hash & (slots.length - 1);
      for (; slots[slot] !== 0; slot = (slot + 1) & (slots.length - 1)) {
        const other = slots[slot]! - 1;
        if (hashes[other] !== hash) continue;
        const first = places[other]!;
        if (!equal(rows, first, place)) continue;
        const copies = found.get(first) ?? [first];
        copies.push(place);
        found.set(first, copies);
        break;
      }
      if (slots[slot] === 0) slots[slot] = start + at + 1;
    }
  }
  return found;
}

function equal(rows: Tensor, one: number, other: number): boolean {
  const [a, b] = [one, other].map((place) =>
    scope(() => rowsAt(rows, [place]).toTypedArray() as Float32Array),
  ) as [Float32Array, Float32Array];
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  );
}

/**
 * Equal rows of a graph's segment, of the file beside the graph's or, of an earlier version, of its record.
 *
 * @param graph its file
 * @param rows how many the segment has
 * @returns null where they are not what was written, or none of these rows
 */
export function copiesBeside(
  graph: string,
  { copies = [] }: GraphRecord,
  rows: number,
): readonly EqualRows[] | null {
  try {
    const read = 'file' in copies ? readCopies(join(dirname(graph), copies.file), copies) : copies;
    return areCopies(read, rows) ? read : null;
  } catch (error) {
    if (error instanceof DamagedFile || isSystemError(error)) return null;
    throw error;
  }
}
