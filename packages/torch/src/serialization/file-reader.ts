import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { SerializationError } from './serialization-error.js';

/** A file open for reading at any position. Every read is exact: a shorter file is an error, never a short result. */
export class FileReader {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly #descriptor: number;

  constructor(path: string) {
    this.path = path;
    try {
      // Not blocking, so that a named pipe is an error and not a wait; no difference for a file.
      this.#descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      throw new SerializationError(`${path}: cannot be opened: ${reason(error)}`, { cause: error });
    }
    const stat = fstatSync(this.#descriptor);
    if (!stat.isFile()) {
      closeSync(this.#descriptor);
      throw new SerializationError(`${path}: expected a file, found a folder or device`);
    }
    this.size = stat.size;
  }

  /** Fills `target` with the bytes from `position` on. */
  readInto(target: Uint8Array, position: number): void {
    if (position < 0 || position + target.length > this.size) {
      throw new SerializationError(
        `${this.path}: expected ${target.length} bytes at position ${position}, but the file ends at ${this.size}: it is cut short or damaged`,
      );
    }
    for (let done = 0; done < target.length; ) {
      let read: number;
      try {
        read = readSync(this.#descriptor, target, done, target.length - done, position + done);
      } catch (error) {
        throw new SerializationError(`${this.path}: cannot be read: ${reason(error)}`, { cause: error });
      }
      if (read === 0) throw new SerializationError(`${this.path}: became shorter while it was read`);
      done += read;
    }
  }

  /** A new buffer of `length` bytes from `position` on. */
  read(position: number, length: number): Buffer {
    if (length > this.size) {
      throw new SerializationError(
        `${this.path}: expected ${length} bytes at position ${position}, but the file has only ${this.size}`,
      );
    }
    const buffer = Buffer.allocUnsafe(length);
    this.readInto(buffer, position);
    return buffer;
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
