import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';

/** How large a file is, as exactly as those who publish it say. */
export type FileSize = { bytes: number } | { mebibytes: number };

/** The first digits of a file's sum, in hexadecimal: SHA-256, or the SHA-1 by which Git names what it holds. */
export interface FileSum {
  kind: 'SHA-256' | 'Git';
  digits: string;
}

/** What is known of a file before it is fetched. */
export class PublishedFile {
  /**
   * @param size MiB are rounded to three digits, as torchvision states them; null: not known
   * @param sum null: not known
   */
  constructor(
    readonly size: FileSize | null,
    readonly sum: FileSum | null,
  ) {}

  /** In bytes, as far as it is known. */
  get bytes(): number {
    if (this.size === null) return Number.NaN;
    return 'bytes' in this.size ? this.size.bytes : this.size.mebibytes * 2 ** 20;
  }

  /** Whether it can have so many bytes. */
  fits(bytes: number): boolean {
    if (this.size === null) return true;
    return 'bytes' in this.size
      ? bytes === this.size.bytes
      : Math.abs(bytes / 2 ** 20 - this.size.mebibytes) <= 0.001;
  }

  /** Whether so many bytes are more than it has. */
  isExceededBy(bytes: number): boolean {
    return !this.fits(bytes) && bytes > this.bytes;
  }

  /** `it has 3.000 MiB, 2 were expected` */
  sizeFault(bytes: number, where = ''): string {
    if (this.size !== null && 'bytes' in this.size)
      return `it has ${bytes} bytes${where}, ${this.size.bytes} were expected`;
    return `it has ${(bytes / 2 ** 20).toFixed(3)} MiB${where}, ${this.size?.mebibytes} were expected`;
  }

  /** In words. */
  get sizeInWords(): string {
    if (this.size === null) return 'all';
    return 'bytes' in this.size ? `${this.size.bytes} bytes` : `${this.size.mebibytes} MiB`;
  }

  /** What is wrong with a file that is there, or null. */
  async difference(file: string): Promise<string | null> {
    const { size } = await stat(file);
    if (!this.fits(size)) return this.sizeFault(size);
    if (this.sum === null) return null;
    const { kind, digits } = this.sum;
    const hash = kind === 'SHA-256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
    for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(chunk);
    const found = hash.digest('hex');
    if (found.startsWith(digits)) return null;
    return `its ${kind} sum starts with ${found.slice(0, digits.length)}, ${digits} was expected`;
  }
}
