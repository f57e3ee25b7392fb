import { SerializationError } from './serialization-error.js';

/** Rough sizes in bytes of what a file makes us hold, for {@link MemoryBudget.charge}. */
export const COST = { slot: 16, array: 48, entry: 64, map: 256, text: 32, tensor: 1024 } as const;

/** What even the smallest file may cost. */
const FLOOR = 16 * 1024 * 1024;

/**
 * Bounds the memory that a file may cost to read. A byte of a hostile pickle can ask for an empty dictionary of 200
 * bytes, or for one more reference to a list: whoever builds something from a file charges its rough size first.
 */
export class MemoryBudget {
  readonly #file: string;
  readonly #limit: number;
  #used = 0;

  /** @param fileSize in bytes; the budget is ten times as much. */
  constructor(file: string, fileSize: number) {
    this.#file = file;
    this.#limit = FLOOR + 10 * fileSize;
  }

  /** Throws a {@link SerializationError} when the file has used up its budget. */
  charge(bytes: number): void {
    this.#used += bytes;
    if (this.#used > this.#limit) {
      throw new SerializationError(
        `${this.#file}: reading it would take more than ${this.#limit} bytes of memory, ten times its size: it looks made to exhaust memory`,
      );
    }
  }
}
