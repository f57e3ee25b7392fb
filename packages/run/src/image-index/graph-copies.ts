import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { DamagedFile } from '../disk/regular-file.js';
import { SegmentFile } from './segment-file.js';

/** Rows of a segment that are equal, two or more, ascending. */
export type EqualRows = readonly number[];

/** A file that lists rows that are equal: of each such row how many there are, and which; int32, little-endian. */
export interface GraphCopies {
  /** NAME.copies. */
  file: string;
  bytes: number;
  sha256: string;
}

/** Groups that are written at a time. */
const GROUPS = 1 << 14;

/** Writes it under a name that no file has. @returns what is to be known of the file */
export function writeCopies(
  path: string,
  copies: readonly EqualRows[],
): Pick<GraphCopies, 'bytes' | 'sha256'> {
  using file = new SegmentFile(path);
  let bytes = 0;
  for (let start = 0; start < copies.length; start += GROUPS) {
    const numbers = Int32Array.from(
      copies.slice(start, start + GROUPS).flatMap((equal) => [equal.length, ...equal]),
    );
    file.write(new Uint8Array(numbers.buffer));
    bytes += numbers.byteLength;
  }
  return { bytes, sha256: file.end() };
}

/** @throws DamagedFile where it is not what was written; a system's error where it is missing */
export function readCopies(path: string, { bytes, sha256 }: Omit<GraphCopies, 'file'>): EqualRows[] {
  const read = readFileSync(path);
  if (read.length !== bytes || createHash('sha256').update(read).digest('hex') !== sha256)
    throw new DamagedFile('it is not what was written');
  const numbers = new Int32Array(read.buffer.slice(read.byteOffset, read.byteOffset + 4 * (bytes >> 2)));
  const copies: EqualRows[] = [];
  for (let at = 0; at < numbers.length; at += numbers[at]! + 1) {
    const equal = [...numbers.subarray(at + 1, at + 1 + Math.max(0, numbers[at]!))];
    if (equal.length < 2 || equal.length !== numbers[at]) throw new DamagedFile('its lists are cut off');
    copies.push(equal);
  }
  return copies;
}

/** That lists of equal rows are such. @param rows how many rows there are */
export const areCopies = (copies: readonly EqualRows[], rows: number): boolean =>
  copies.every((equal) =>
    equal.every((row, at) => row < rows && (at === 0 ? row >= 0 : row > equal[at - 1]!)),
  );
