import type { ImageError } from '@conquer-dml/image';
import { UserError } from '@conquer-dml/run';

/** Share of a data set's images that may be bad. */
const LIMIT = 0.05;

/** The images of a data set that turned out to be unreadable, when it was checked or later. */
export class BadImages {
  readonly #paths = new Set<string>();
  readonly #total: number;
  readonly #onBad: (message: string) => void;

  /**
   * @param total distinct images of the data set
   * @param onBad told once of each, in a line with the file, the reason and how many there are
   */
  constructor(total: number, onBad: (message: string) => void) {
    this.#total = total;
    this.#onBad = onBad;
  }

  has(path: string): boolean {
    return this.#paths.has(path);
  }

  get size(): number {
    return this.#paths.size;
  }

  /** @throws UserError where more than 5 % of all are bad */
  add({ path, message }: ImageError): void {
    if (this.#paths.has(path)) return;
    this.#paths.add(path);
    if (this.#paths.size > LIMIT * this.#total) {
      throw new UserError(
        `more than ${100 * LIMIT} % of the ${this.#total} images are bad, the last one: ${message}; restore them, or take them out of the data set`,
      );
    }
    const most = Math.floor(LIMIT * this.#total);
    this.#onBad(
      `bad image ${this.#paths.size} of at most ${most}: ${message}; others of its class take its place`,
    );
  }
}
