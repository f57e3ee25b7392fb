import { openRegularFile } from './regular-file.js';

const CHUNK = 1 << 20;
/** A division of three million images is a line of about this length. */
const MAX_LINE = 16 << 20;

export interface LinesRead<T> {
  /** The file was cut back or replaced: forget all that was read from it before. */
  reset: boolean;
  /** Lines of the file before the added ones. */
  at: number;
  added: T[];
}

/**
 * Reads a file that grows line by line: each `poll` gives the lines that are new, whole and sound. What is not sound
 * (no JSON, too long, not such a record) is counted in `damaged` and left out.
 */
export class GrowingLines<T> {
  damaged = 0;
  /** Sound lines so far. */
  count = 0;
  private inode = 0;
  private offset = 0;
  private pieces: Buffer[] = [];
  private pending = 0;
  private skipping = false;

  constructor(
    private readonly path: string,
    /** What JSON.parse gives of a line; null: no such record. */
    private readonly recordOf: (value: unknown) => T | null,
  ) {}

  async poll(): Promise<LinesRead<T>> {
    const file = await openRegularFile(this.path);
    if (file === null) {
      const reset = this.offset > 0;
      if (reset) this.forget();
      return { reset, at: 0, added: [] };
    }
    try {
      const { size, ino } = await file.stat();
      const reset = this.offset > 0 && (size < this.offset || ino !== this.inode);
      if (reset) this.forget();
      this.inode = ino;
      const at = this.count;
      const added: T[] = [];
      while (this.offset < size) {
        const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size - this.offset));
        const { bytesRead } = await file.read(buffer, 0, buffer.length, this.offset);
        if (bytesRead === 0) break;
        this.offset += bytesRead;
        this.take(buffer.subarray(0, bytesRead), added);
      }
      this.count += added.length;
      return { reset, at, added };
    } finally {
      await file.close();
    }
  }

  private take(chunk: Buffer, added: T[]): void {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.append(chunk.subarray(start, end));
      if (this.skipping) this.damaged++;
      else if (this.pending > 0) this.end(added);
      this.skipping = false;
      this.drop();
      start = end + 1;
    }
    this.append(chunk.subarray(start));
  }

  private append(piece: Buffer): void {
    if (this.skipping) return;
    this.pieces.push(piece);
    this.pending += piece.length;
    if (this.pending <= MAX_LINE) return;
    this.skipping = true;
    this.drop();
  }

  private end(added: T[]): void {
    let record: T | null = null;
    try {
      record = this.recordOf(JSON.parse(Buffer.concat(this.pieces).toString('utf8')));
    } catch {
      // Counted below.
    }
    if (record === null) this.damaged++;
    else added.push(record);
  }

  private drop(): void {
    this.pieces = [];
    this.pending = 0;
  }

  private forget(): void {
    this.drop();
    this.skipping = false;
    this.damaged = this.count = this.offset = 0;
  }
}
