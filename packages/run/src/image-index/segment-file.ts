import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { writeProblem } from '../disk/write.js';

/** A file that is written once, under a name that nobody else has, and is on the disk before its manifest names it. */
export class SegmentFile {
  readonly #path: string;
  readonly #file: number;
  readonly #hash = createHash('sha256');
  #closed = false;

  /** @throws UserError when it cannot be written */
  constructor(path: string) {
    this.#path = path;
    this.#file = this.#try(() => openSync(path, 'wx'));
  }

  #try<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw writeProblem(this.#path, error);
    }
  }

  /** @throws UserError when it cannot be written */
  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#try(() => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#file, bytes, done, bytes.length - done);
    });
  }

  /** @returns SHA-256 of it, in hexadecimal. @throws UserError when it cannot be written */
  end(): string {
    this.#try(() => fsyncSync(this.#file));
    this[Symbol.dispose]();
    return this.#hash.digest('hex');
  }

  [Symbol.dispose](): void {
    if (!this.#closed) closeSync(this.#file);
    this.#closed = true;
  }
}
