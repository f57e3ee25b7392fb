import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { native } from './binding.js';
import type { ImageSize } from './pixels.js';
import type { ResizeFilter } from './request.js';

/** Path, bytes and modification time (ms) of an image, as it was when it was packed. */
export type Fingerprint = [path: string, bytes: number, modified: number];

/** What a pack was made of. A pack with another header is of other images, or made in another way. */
export interface PackHeader {
  version: number;
  size: number;
  square: boolean;
  /** Left out by the triangle, as packs had no other once. */
  filter?: ResizeFilter | undefined;
  squash?: boolean | undefined;
  images: Fingerprint[];
}

/** Where each image's pixels are, and the checksum of them. */
export interface PackTable {
  /** Bytes from the file's start (N). */
  offsets: Float64Array;
  /** Width and height in pixels (N × 2). */
  sizes: Uint32Array;
  checksums: Uint32Array;
}

// A pack: 16 bytes of prefix (the magic, then the header's length and the pixels' offset as 32-bit little endian), the
// header as JSON, from an aligned offset on each image's height×width×3 bytes of RGB, and at the end the table: width,
// height and checksum of each image as 32-bit little endian, and a checksum of the table.
export const packVersion = 2;
const magic = 'CONQPACK';
const prefixBytes = 16;
const alignment = 4096;
const entryBytes = 12;

/** The table of the file's images if it is complete, undamaged and has exactly this header. */
function readTable(file: number, wanted: PackHeader): PackTable | undefined {
  const prefix = readAt(file, 0, prefixBytes);
  if (prefix?.toString('latin1', 0, 8) !== magic) return undefined;
  const header = Buffer.from(JSON.stringify(wanted));
  if (prefix.readUInt32LE(8) !== header.length) return undefined;
  if (!readAt(file, prefixBytes, header.length)?.equals(header)) return undefined;
  const start = prefix.readUInt32LE(12);
  if (start !== pixelsStart(header)) return undefined;

  const count = wanted.images.length;
  const { size: length } = fstatSync(file);
  const bytes = count * entryBytes + 4;
  if (length < start + bytes) return undefined;
  const entries = readAt(file, length - bytes, bytes);
  if (!entries || entries.readUInt32LE(bytes - 4) !== native.checksum(entries.subarray(0, bytes - 4)))
    return undefined;
  const table = newTable(count);
  let offset = start;
  for (let image = 0; image < count; image++) {
    const [width, height, sum] = [0, 4, 8].map((at) => entries.readUInt32LE(image * entryBytes + at));
    table.offsets[image] = offset;
    table.sizes.set([width!, height!], 2 * image);
    table.checksums[image] = sum!;
    offset += width! * height! * 3;
  }
  return length === offset + bytes ? table : undefined;
}

/** Writes a pack from front to end: the header, then the images, then the table. */
export class PackWriter {
  private readonly table: PackTable;
  private written = 0;

  private constructor(
    private readonly file: FileHandle,
    count: number,
    private position: number,
  ) {
    this.table = newTable(count);
  }

  static async create(file: FileHandle, header: PackHeader): Promise<PackWriter> {
    const json = Buffer.from(JSON.stringify(header));
    const start = Buffer.alloc(pixelsStart(json));
    start.write(magic, 0, 'latin1');
    start.writeUInt32LE(json.length, 8);
    start.writeUInt32LE(start.length, 12);
    json.copy(start, prefixBytes);
    await writeAt(file, start, 0);
    return new PackWriter(file, header.images.length, start.length);
  }

  /** Adds the next images; `pixels` holds them one after the other. */
  async add(sizes: readonly ImageSize[], pixels: Uint8Array): Promise<void> {
    let start = 0;
    for (const { width, height } of sizes) {
      const image = this.written++;
      const bytes = width * height * 3;
      this.table.offsets[image] = this.position + start;
      this.table.sizes.set([width, height], 2 * image);
      this.table.checksums[image] = native.checksum(pixels.subarray(start, start + bytes));
      start += bytes;
    }
    await writeAt(this.file, pixels, this.position);
    this.position += start;
  }

  /** Writes the table and brings everything to the disk. */
  async finish(): Promise<void> {
    const { sizes, checksums } = this.table;
    const entries = Buffer.alloc(checksums.length * entryBytes + 4);
    for (const [image, sum] of checksums.entries()) {
      const numbers = [sizes[2 * image]!, sizes[2 * image + 1]!, sum];
      for (const [place, number] of numbers.entries()) {
        entries.writeUInt32LE(number, image * entryBytes + 4 * place);
      }
    }
    entries.writeUInt32LE(native.checksum(entries.subarray(0, -4)), entries.length - 4);
    await writeAt(this.file, entries, this.position);
    await this.file.sync();
  }
}

/** Opens a pack for reading if there is a whole one with this header. */
export function openPackFile(
  path: string,
  header: PackHeader,
): { descriptor: number; table: PackTable } | undefined {
  // By its number, as a file handle that is not closed in the end would be closed with a warning.
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return undefined;
  }
  const table = readTable(descriptor, header);
  if (table) return { descriptor, table };
  closeSync(descriptor);
  return undefined;
}

function newTable(count: number): PackTable {
  return {
    offsets: new Float64Array(count),
    sizes: new Uint32Array(2 * count),
    checksums: new Uint32Array(count),
  };
}

function pixelsStart(header: Buffer): number {
  return Math.ceil((prefixBytes + header.length) / alignment) * alignment;
}

/** These bytes, or undefined where the file is shorter. */
function readAt(file: number, position: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  for (let read = 0; read < length; ) {
    const count = readSync(file, bytes, read, length - read, position + read);
    if (count === 0) return undefined;
    read += count;
  }
  return bytes;
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
  }
}
