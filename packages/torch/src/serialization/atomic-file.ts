import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SerializationError } from './serialization-error.js';

/**
 * A file written as a whole or not at all. The bytes go to a hidden temporary file in the same folder; `commit` brings
 * them to the disk (fsync), gives the file its name, and brings the folder's entry to the disk too. Without `commit`,
 * disposing removes the temporary file, and a file that had the name before stays as it was.
 */
export class AtomicFile {
  readonly path: string;
  /** Bytes written so far. */
  position = 0;
  readonly #temporary: string;
  #descriptor: number | null;

  constructor(path: string) {
    this.path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
    this.#descriptor = this.#attempt(() => openSync(this.#temporary, 'wx'));
  }

  write(bytes: Uint8Array): void {
    const descriptor = this.#open();
    this.#attempt(() => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(descriptor, bytes, done, bytes.length - done);
    });
    this.position += bytes.length;
  }

  /** Writes over bytes that are there already. */
  overwrite(position: number, bytes: Uint8Array): void {
    const descriptor = this.#open();
    this.#attempt(() => writeSync(descriptor, bytes, 0, bytes.length, position));
  }

  commit(): void {
    const descriptor = this.#open();
    this.#attempt(() => {
      fsyncSync(descriptor);
      closeSync(descriptor);
      this.#descriptor = null;
      try {
        renameSync(this.#temporary, this.path);
      } catch (error) {
        unlinkSync(this.#temporary);
        throw error;
      }
      const folder = openSync(dirname(this.path), 'r');
      try {
        fsyncSync(folder);
      } finally {
        closeSync(folder);
      }
    });
  }

  [Symbol.dispose](): void {
    if (this.#descriptor === null) return;
    closeSync(this.#descriptor);
    this.#descriptor = null;
    unlinkSync(this.#temporary);
  }

  #open(): number {
    if (this.#descriptor === null) throw new SerializationError(`${this.path}: already written and closed`);
    return this.#descriptor;
  }

  #attempt<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SerializationError(`${this.path}: cannot be written: ${reason}`, { cause: error });
    }
  }
}
