import { crc32 } from 'node:zlib';
import type { FileReader } from './file-reader.js';
import { SerializationError } from './serialization-error.js';

/** The metadata entry that holds the checksum: CRC-32 of the whole file, eight hexadecimal digits, which count as 0. */
const KEY = 'crc32';
const PLACEHOLDER = '00000000';
const PIECE_BYTES = 1024 * 1024;

const hex = (sum: number) => sum.toString(16).padStart(PLACEHOLDER.length, '0');
const entry = (digits: string) => `"${KEY}":"${digits}"`;

/** Where the digits stand in a header; -1 where nobody wrote them as {@link Checksum} does. */
function digitsIn(header: Buffer, digits: string): number {
  const at = header.indexOf(entry(digits));
  return at < 0 ? -1 : at + entry('').length - 1;
}

/** Sums up a file while it is written, header first. */
export class Checksum {
  /** Stands in the metadata until the sum is known. */
  readonly metadata = { [KEY]: PLACEHOLDER };
  /** Where the digits go in the file. */
  position = 0;
  #sum = 0;

  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return; // zlib would begin anew
    if (this.position === 0)
      this.position = digitsIn(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), PLACEHOLDER);
    this.#sum = crc32(bytes, this.#sum);
  }

  digits(): Buffer {
    return Buffer.from(hex(this.#sum));
  }
}

/**
 * Checks a safetensors file against the checksum in its metadata, if there is one.
 *
 * @throws SerializationError where they differ
 */
export function checkChecksum(file: FileReader, metadata: Record<string, string>, dataStart: number): void {
  const expected = metadata[KEY];
  if (expected === undefined) return;
  const header = file.read(0, dataStart);
  const at = digitsIn(header, expected);
  if (at < 0) return; // another program's entry of this name
  header.write(PLACEHOLDER, at, 'latin1');
  let sum = crc32(header);
  const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, file.size));
  for (let position = dataStart; position < file.size; ) {
    const piece = buffer.subarray(0, Math.min(buffer.length, file.size - position));
    file.readInto(piece, position);
    sum = crc32(piece, sum);
    position += piece.length;
  }
  if (hex(sum) !== expected) {
    throw new SerializationError(
      `${file.path}: damaged: its checksum is ${hex(sum)}, expected ${expected}: a part of it has changed since it was written`,
    );
  }
}
