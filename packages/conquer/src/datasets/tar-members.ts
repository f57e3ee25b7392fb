import { closeSync, openSync, readSync } from 'node:fs';
import { UserError } from '@conquer-dml/run';
import type { ShardFile } from './shard-files.js';

const BLOCK = 512;
/** Read at a time where members are small: many of them. */
const WINDOW = 65_536;
/** The same behind a large one: a header, and what is small behind it. */
const FAR = 4096;
/** Names of members, and texts of labels. */
const MOST_TEXT = 1 << 20;

/** A regular file in a tar archive. */
export interface TarMember {
  name: string;
  /** Of its first byte in the archive. */
  offset: number;
  /** In bytes. */
  length: number;
}

/**
 * The regular files of a tar archive in their order: ustar, with GNU's and pax' long names and sizes. No byte of them is read but what
 * `text` asks for, which gives the text of the member just told of.
 *
 * @throws UserError where the archive is damaged, cut short or packed, or a member is a link or sparse
 */
export function* tarMembers(shard: ShardFile): Generator<TarMember & { text: () => string }> {
  const archive = new ArchiveBytes(shard);
  try {
    let at = 0;
    let long: { name?: string; length?: number } = {};
    for (;;) {
      const header = archive.bytes(at, BLOCK);
      if (header === null)
        throw archive.damaged(
          at === 0
            ? 'it is empty'
            : `it ends at byte ${shard.size} without the mark of its end: it was cut short`,
        );
      if (at === 0) refusePacked(header, shard);
      if (header[0] === 0 && header.every((byte) => byte === 0)) return;
      if (!hasChecksum(header))
        throw archive.damaged(
          `there is no header of a member at byte ${at}: it is damaged, or no tar archive`,
        );
      const type = String.fromCharCode(header[156]!);
      const length = long.length ?? numberIn(header, 124, 12);
      const offset = at + BLOCK;
      const name = long.name ?? nameIn(header);
      if (!(length >= 0) || offset + length > shard.size)
        throw archive.damaged(
          `its member ${name} would end at byte ${offset + length} of ${shard.size}: it was cut short or is damaged`,
        );
      const text = () => {
        const bytes = length <= MOST_TEXT ? archive.bytes(offset, length) : null;
        if (bytes === null) throw archive.damaged(`its member ${name} is too long for a text`);
        return bytes.toString('utf8');
      };
      at = offset + Math.ceil(length / BLOCK) * BLOCK;
      if (type === 'L') long = { ...long, name: text().replace(/\0.*$/s, '') };
      else if (type === 'x') long = { ...long, ...paxRecords(text()) };
      else {
        long = {};
        if (type === '0' || type === '\0' || type === '7') yield { name, offset, length, text };
        else if (type === '1' || type === '2')
          throw archive.damaged(
            `its member ${name} is a link: write the archive with copies in the place of links`,
          );
        else if (type === 'S')
          throw archive.damaged(`its member ${name} is sparse: write the archive without holes`);
      }
    }
  } finally {
    archive.close();
  }
}

/** The bytes of an archive, of which a few are held. */
class ArchiveBytes {
  private readonly descriptor: number;
  private readonly window = Buffer.allocUnsafe(WINDOW);
  private start = 0;
  private held = 0;

  constructor(private readonly shard: ShardFile) {
    this.descriptor = openSync(shard.path, 'r');
  }

  /** They may change with the next call; null: the archive ends before. */
  bytes(offset: number, length: number): Buffer | null {
    if (offset + length > this.shard.size) return null;
    if (length > WINDOW) {
      const bytes = Buffer.allocUnsafe(length);
      return readSync(this.descriptor, bytes, 0, length, offset) === length ? bytes : null;
    }
    const end = this.start + this.held;
    if (offset < this.start || offset + length > end) {
      this.start = offset;
      const isNear = offset - end < WINDOW;
      this.held = readSync(this.descriptor, this.window, 0, isNear ? WINDOW : Math.max(FAR, length), offset);
      if (this.held < length) return null;
    }
    return this.window.subarray(offset - this.start, offset - this.start + length);
  }

  close(): void {
    closeSync(this.descriptor);
  }

  damaged(what: string): UserError {
    return new UserError(`${this.shard.path}: ${what}`);
  }
}

/** How packed files begin. */
const packers = { gzip: '1f8b', zstd: '28b52ffd', xz: 'fd377a58', bzip2: '425a68' };

function refusePacked(header: Buffer, { path }: ShardFile): void {
  const begin = header.toString('hex', 0, 4);
  for (const [by, magic] of Object.entries(packers))
    if (begin.startsWith(magic))
      throw new UserError(
        `${path}: it is packed by ${by} as a whole, so that it can only be read from its start, and images are drawn in any order: unpack it to a plain .tar`,
      );
}

function hasChecksum(header: Buffer): boolean {
  let sum = 8 * 32;
  for (let at = 0; at < 148; at++) sum += header[at]!;
  for (let at = 156; at < BLOCK; at++) sum += header[at]!;
  return sum === numberIn(header, 148, 8);
}

/** Octal, or as GNU has large ones: a set bit and the number in base 256. */
function numberIn(header: Buffer, at: number, length: number): number {
  const first = header[at]!;
  if (first & 0x80) {
    let value = first & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + header[at + i]!;
    return value;
  }
  let value = 0;
  let digits = 0;
  for (let i = at; i < at + length; i++) {
    const digit = header[i]! - 48;
    if (digit >= 0 && digit < 8) {
      value = value * 8 + digit;
      digits++;
    } else if (digits > 0) break;
  }
  return digits > 0 ? value : Number.NaN;
}

function nameIn(header: Buffer): string {
  const name = textIn(header, 0, 100);
  // "ustar" and a zero: POSIX. GNU's has a blank there, and other things in the place of the prefix.
  const isPosix = header[257] === 0x75 && header[261] === 0x72 && header[262] === 0;
  if (!isPosix || header[345] === 0) return name;
  return `${textIn(header, 345, 500)}/${name}`;
}

/** Up to a zero. */
function textIn(bytes: Buffer, from: number, to: number): string {
  const end = bytes.indexOf(0, from);
  return bytes.toString('utf8', from, end < 0 ? to : Math.min(end, to));
}

/** `27 path=…\n`, its length in bytes in front. */
function paxRecords(text: string): { name?: string; length?: number } {
  const found: { name?: string; length?: number } = {};
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    const [, length = '', key = ''] = /^(\d+) ([^=]+)=/.exec(bytes.toString('utf8', at, at + 200)) ?? [];
    if (!(Number(length) > 0)) break;
    const value = bytes.toString(
      'utf8',
      at + length.length + 1 + Buffer.byteLength(key) + 1,
      at + Number(length) - 1,
    );
    if (key === 'path') found.name = value;
    if (key === 'size') found.length = Number(value);
    at += Number(length);
  }
  return found;
}
