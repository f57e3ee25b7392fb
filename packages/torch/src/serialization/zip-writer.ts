import { crc32 } from 'node:zlib';

const FULL_16 = 0xffff;
const FULL_32 = 0xffffffff;
/** Version 4.5 of the format knows zip64. */
const VERSION = 45;
/** Names are UTF-8. */
const FLAGS = 0x0800;
/** The 1st of January 1980: files with equal contents are equal. */
const DATE = 0x21;
const ZIP64_EXTRA = 1;
/** "FB", the extra field that PyTorch pads with. */
const PADDING_EXTRA = 0x4246;
/** PyTorch starts each entry's bytes at a multiple of this. */
const ALIGNMENT = 64;

/** Where an archive is written to: an AtomicFile, or memory. */
export interface ByteSink {
  /** Bytes written so far. */
  readonly position: number;
  write(bytes: Uint8Array): void;
}

interface WrittenEntry {
  name: Buffer;
  size: number;
  crc: number;
  header: number;
}

/**
 * Writes a zip archive of stored entries, each entry's bytes at a multiple of 64, as PyTorch does.
 * Format: PKWARE APPNOTE 6.3.
 */
export class ZipWriter {
  readonly #sink: ByteSink;
  readonly #limit: number;
  readonly #entries: WrittenEntry[] = [];

  /** @param limit sizes and positions from here on are written as zip64; only a test has a reason to lower it. */
  constructor(sink: ByteSink, limit: number = FULL_32) {
    this.#sink = sink;
    this.#limit = limit;
  }

  add(name: string, bytes: Uint8Array): void {
    const entry = {
      name: Buffer.from(name),
      size: bytes.length,
      crc: crc32(bytes),
      header: this.#sink.position,
    };
    const zip64 = this.#long(entry.size) ? zip64Extra([entry.size, entry.size]) : Buffer.alloc(0);
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(VERSION, 4);
    this.#fields(header, 6, entry);
    const unpadded = entry.header + header.length + entry.name.length + zip64.length + 4;
    const padding = Buffer.alloc(4 + ((ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT));
    padding.writeUInt16LE(PADDING_EXTRA, 0);
    padding.writeUInt16LE(padding.length - 4, 2);
    header.writeUInt16LE(zip64.length + padding.length, 28);
    this.#sink.write(Buffer.concat([header, entry.name, zip64, padding]));
    this.#sink.write(bytes);
    this.#entries.push(entry);
  }

  /** Writes the directory. Nothing can be added after it. */
  finish(): void {
    const start = this.#sink.position;
    const parts: Buffer[] = [];
    for (const entry of this.#entries) {
      const long: number[] = [];
      if (this.#long(entry.size)) long.push(entry.size, entry.size);
      if (this.#long(entry.header)) long.push(entry.header);
      const zip64 = long.length > 0 ? zip64Extra(long) : Buffer.alloc(0);
      const header = Buffer.alloc(46);
      header.writeUInt32LE(0x02014b50, 0);
      header.writeUInt16LE(VERSION, 4);
      header.writeUInt16LE(VERSION, 6);
      this.#fields(header, 8, entry);
      header.writeUInt16LE(zip64.length, 30);
      header.writeUInt32LE(this.#long(entry.header) ? FULL_32 : entry.header, 42);
      parts.push(header, entry.name, zip64);
    }
    const directory = Buffer.concat(parts);
    this.#sink.write(directory);
    this.#sink.write(this.#end(start, directory.length));
  }

  /** The fields that the local and the central header share, from the flags on. */
  #fields(header: Buffer, at: number, entry: WrittenEntry): void {
    const size = this.#long(entry.size) ? FULL_32 : entry.size;
    header.writeUInt16LE(FLAGS, at);
    header.writeUInt16LE(DATE, at + 6);
    header.writeUInt32LE(entry.crc, at + 8);
    header.writeUInt32LE(size, at + 12);
    header.writeUInt32LE(size, at + 16);
    header.writeUInt16LE(entry.name.length, at + 20);
  }

  #end(start: number, size: number): Buffer {
    const count = this.#entries.length;
    const parts: Buffer[] = [];
    const long = count >= Math.min(FULL_16, this.#limit) || this.#long(start) || this.#long(size);
    if (long) {
      const end64 = Buffer.alloc(56);
      end64.writeUInt32LE(0x06064b50, 0);
      end64.writeBigUInt64LE(44n, 4);
      end64.writeUInt16LE(VERSION, 12);
      end64.writeUInt16LE(VERSION, 14);
      end64.writeBigUInt64LE(BigInt(count), 24);
      end64.writeBigUInt64LE(BigInt(count), 32);
      end64.writeBigUInt64LE(BigInt(size), 40);
      end64.writeBigUInt64LE(BigInt(start), 48);
      const locator = Buffer.alloc(20);
      locator.writeUInt32LE(0x07064b50, 0);
      locator.writeBigUInt64LE(BigInt(start + size), 8);
      locator.writeUInt32LE(1, 16);
      parts.push(end64, locator);
    }
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(long ? FULL_16 : count, 8);
    end.writeUInt16LE(long ? FULL_16 : count, 10);
    end.writeUInt32LE(long ? FULL_32 : size, 12);
    end.writeUInt32LE(long ? FULL_32 : start, 16);
    parts.push(end);
    return Buffer.concat(parts);
  }

  #long(value: number): boolean {
    return value >= this.#limit;
  }
}

function zip64Extra(values: number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(ZIP64_EXTRA, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  values.forEach((value, index) => {
    extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  });
  return extra;
}
