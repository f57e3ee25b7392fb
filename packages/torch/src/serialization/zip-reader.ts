import { crc32 } from 'node:zlib';
import type { FileReader } from './file-reader.js';
import { COST, type MemoryBudget } from './memory-budget.js';
import { quoted, SerializationError } from './serialization-error.js';

/** A file inside a zip archive. */
export interface ZipEntry {
  name: string;
  /** Bytes in the archive. */
  size: number;
  /** Why its bytes are not simply there: compressed or encrypted. Null for entries as `torch.save` writes them. */
  obstacle: string | null;
  crc32: number;
  /** Where its local header starts in the archive. */
  header: number;
  /** Where its bytes start in the archive. */
  start: number;
}

const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;
const CENTRAL_HEADER = 0x02014b50;
const CENTRAL_HEADER_BYTES = 46;
const END = 0x06054b50;
const END_BYTES = 22;
const END64_LOCATOR = 0x07064b50;
const END64_LOCATOR_BYTES = 20;
const END64 = 0x06064b50;
const END64_BYTES = 56;
const MAX_COMMENT_BYTES = 0xffff;
const ZIP64_EXTRA = 1;
const ENCRYPTED = 1;
const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;

/** Whether the file starts as a zip archive does. */
export function looksLikeZip(file: FileReader): boolean {
  return file.size >= END_BYTES && file.read(0, 4).readUInt32LE() === LOCAL_HEADER;
}

/**
 * Reads the directory of a zip archive, zip64 included. Refuses repeated names, and entries that overlap (which would
 * let a small archive unfold into a large one).
 *
 * Format: PKWARE APPNOTE 6.3, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export function readZip(file: FileReader, budget: MemoryBudget): Map<string, ZipEntry> {
  const directory = findDirectory(file);
  const bytes = file.read(directory.start, directory.size);
  const entries = new Map<string, ZipEntry>();
  let position = 0;
  for (let index = 0; index < directory.count; index++) {
    const { entry, next } = readCentralHeader(file, bytes, position);
    budget.charge(COST.map + entry.name.length);
    if (entries.has(entry.name)) throw damaged(file, `the entry ${quoted(entry.name)} appears twice`);
    entries.set(entry.name, entry);
    position = next;
  }
  let free = 0;
  for (const entry of [...entries.values()].sort((a, b) => a.header - b.header)) {
    if (entry.header < free) throw damaged(file, `the entry ${quoted(entry.name)} overlaps another one`);
    entry.start = locateData(file, entry);
    free = entry.start + entry.size;
    if (free > directory.start)
      throw damaged(file, `the entry ${quoted(entry.name)} runs into the directory`);
  }
  return entries;
}

/** Throws unless the entry's bytes lie in the archive as they are. */
export function requireStored(file: FileReader, entry: ZipEntry): void {
  if (entry.obstacle === null) return;
  throw new SerializationError(
    `${file.path}: the entry ${quoted(entry.name)} is ${entry.obstacle}: expected a file as torch.save writes it`,
  );
}

/** The bytes of an entry, their checksum checked. */
export function readZipEntry(file: FileReader, entry: ZipEntry): Buffer {
  requireStored(file, entry);
  const bytes = file.read(entry.start, entry.size);
  checkCrc(file, entry, crc32(bytes));
  return bytes;
}

/**
 * Throws unless `actual` is the checksum that the archive gives for the entry. 0 stands for none: PyTorch
 * writes it after `torch.serialization.set_crc32_options(False)`.
 */
export function checkCrc(file: FileReader, entry: ZipEntry, actual: number): void {
  if (entry.crc32 !== 0 && actual !== entry.crc32)
    throw damaged(file, `the entry ${quoted(entry.name)} has a wrong checksum`);
}

function damaged(file: FileReader, message: string): SerializationError {
  return new SerializationError(`${file.path}: the zip archive is damaged: ${message}`);
}

function findDirectory(file: FileReader): { start: number; size: number; count: number } {
  const tailStart = Math.max(0, file.size - END_BYTES - MAX_COMMENT_BYTES);
  const tail = file.read(tailStart, file.size - tailStart);
  let end = tail.length - END_BYTES;
  while (
    end >= 0 &&
    !(tail.readUInt32LE(end) === END && end + END_BYTES + tail.readUInt16LE(end + 20) === tail.length)
  ) {
    end--;
  }
  if (end < 0) throw damaged(file, 'its directory is missing at the end: the file is cut short');
  let count = tail.readUInt16LE(end + 10);
  let size = tail.readUInt32LE(end + 12);
  let start = tail.readUInt32LE(end + 16);
  let limit = tailStart + end;
  if (count === FULL_16 || size === FULL_32 || start === FULL_32) {
    const locatorStart = limit - END64_LOCATOR_BYTES;
    if (locatorStart < 0) throw damaged(file, 'the zip64 locator is missing');
    const locator = file.read(locatorStart, END64_LOCATOR_BYTES);
    if (locator.readUInt32LE() !== END64_LOCATOR) throw damaged(file, 'the zip64 locator is missing');
    const end64Start = readSize(file, locator, 8);
    if (end64Start + END64_BYTES > locatorStart) throw damaged(file, 'the zip64 directory is out of place');
    const end64 = file.read(end64Start, END64_BYTES);
    if (end64.readUInt32LE() !== END64) throw damaged(file, 'the zip64 directory is missing');
    count = readSize(file, end64, 32);
    size = readSize(file, end64, 40);
    start = readSize(file, end64, 48);
    limit = end64Start;
  }
  if (start + size > limit) throw damaged(file, 'its directory is out of bounds');
  if (count * CENTRAL_HEADER_BYTES > size) throw damaged(file, `${count} entries do not fit its directory`);
  return { start, size, count };
}

function readCentralHeader(
  file: FileReader,
  bytes: Buffer,
  position: number,
): { entry: ZipEntry; next: number } {
  const body = position + CENTRAL_HEADER_BYTES;
  if (body > bytes.length || bytes.readUInt32LE(position) !== CENTRAL_HEADER) {
    throw damaged(file, 'an entry is missing from its directory');
  }
  const flags = bytes.readUInt16LE(position + 8);
  const method = bytes.readUInt16LE(position + 10);
  const nameEnd = body + bytes.readUInt16LE(position + 28);
  const extraEnd = nameEnd + bytes.readUInt16LE(position + 30);
  const next = extraEnd + bytes.readUInt16LE(position + 32);
  if (next > bytes.length) throw damaged(file, 'an entry of its directory is cut short');
  const name = bytes.toString('utf8', body, nameEnd);
  const extra = zip64Fields(bytes.subarray(nameEnd, extraEnd));
  // The zip64 field holds only those of the four values that are full, in this order.
  const value = (at: number): number => {
    const short = bytes.readUInt32LE(position + at);
    if (short !== FULL_32) return short;
    const long = extra.shift();
    if (long === undefined) throw damaged(file, `the entry ${quoted(name)} lacks its zip64 sizes`);
    return safe(file, long);
  };
  const size = value(24);
  const packed = value(20);
  const header = value(42);
  let obstacle: string | null = null;
  if (flags & ENCRYPTED) obstacle = 'encrypted';
  else if (method !== 0) obstacle = 'compressed';
  else if (size !== packed) throw damaged(file, `the entry ${quoted(name)} has two sizes`);
  const crc = bytes.readUInt32LE(position + 16);
  return { entry: { name, size: packed, obstacle, crc32: crc, header, start: 0 }, next };
}

function zip64Fields(extra: Buffer): bigint[] {
  for (let position = 0; position + 4 <= extra.length; ) {
    const end = Math.min(position + 4 + extra.readUInt16LE(position + 2), extra.length);
    if (extra.readUInt16LE(position) === ZIP64_EXTRA) {
      const fields: bigint[] = [];
      for (let at = position + 4; at + 8 <= end && fields.length < 3; at += 8)
        fields.push(extra.readBigUInt64LE(at));
      return fields;
    }
    position = end;
  }
  return [];
}

function locateData(file: FileReader, entry: ZipEntry): number {
  const header = file.read(entry.header, LOCAL_HEADER_BYTES);
  if (header.readUInt32LE() !== LOCAL_HEADER)
    throw damaged(file, `the entry ${quoted(entry.name)} is out of place`);
  return entry.header + LOCAL_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
}

function readSize(file: FileReader, bytes: Buffer, at: number): number {
  return safe(file, bytes.readBigUInt64LE(at));
}

function safe(file: FileReader, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged(file, 'a size is over 2^53');
  return Number(value);
}
