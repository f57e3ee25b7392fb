import { type Threshold, thresholdFor } from './threshold.js';

/** An item that was found. */
export interface Match {
  id: string;
  /** Its classes. */
  labels: readonly string[];
  /** What was given with it; JSON. */
  payload: unknown;
  /** Which of its images is near, from 0. */
  image: number;
  /** Cosine, −1…1. */
  similarity: number;
}

export interface SearchOptions {
  /** Leaves out what is less alike than this false-match rate asks for; nothing that is alike enough is an answer too. */
  maxFalseMatch?: number;
}

/** An item as the file has it. */
export interface StoredItem {
  id: string;
  labels: string[];
  payload: unknown;
  /** Rows. */
  images: number;
}

/** Items and their rows, each number in 8 bits, searched one after the other. */
export class SmallIndex {
  /** Of each row 1 / its length: whatever it was scaled by when it was rounded, only its direction counts. */
  readonly #inverseLengths: Float64Array;

  /** @param rows (R, D), those of an item after each other */
  constructor(
    private readonly rows: Int8Array,
    private readonly items: readonly StoredItem[],
    /** D */
    readonly dim: number,
    /** Whose rows they are; null: made elsewhere. */
    readonly embedder: string | null,
    readonly thresholds: readonly Threshold[],
  ) {
    this.#inverseLengths = Float64Array.from({ length: rows.length / dim }, (_, row) => {
      const own = rows.subarray(row * dim, (row + 1) * dim);
      return 1 / Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
    });
  }

  /** Items. */
  get count(): number {
    return this.items.length;
  }

  /**
   * The items that are most like a row, each by its nearest image; of equally near ones those that were added first.
   *
   * @param row (D,), finite and not all zero, of the embedder whose rows these are
   * @param k matches at most
   * @throws RangeError for a row of another length or without direction, a k that is none, or a rate that is not supported
   */
  search(row: ArrayLike<number>, k = 10, { maxFalseMatch }: SearchOptions = {}): Match[] {
    const { rows, dim } = this;
    if (!(Number.isSafeInteger(k) && k > 0))
      throw new RangeError(`search: expected k to be a whole number of 1 or more, got ${k}`);
    if (row.length !== dim)
      throw new RangeError(`search: expected a row of ${dim} numbers, got ${row.length}`);
    const query = Float64Array.from(row);
    const length = Math.hypot(...query);
    if (!(length > 0 && length < Infinity))
      throw new RangeError('search: expected finite numbers that are not all zero');
    const least =
      maxFalseMatch === undefined ? -Infinity : thresholdFor(this.thresholds, maxFalseMatch).similarity;
    const nearest: Match[] = [];
    let first = 0;
    for (const { id, labels, payload, images } of this.items) {
      const best = { image: 0, similarity: -Infinity };
      for (let image = 0; image < images; image++) {
        const start = (first + image) * dim;
        let dot = 0;
        for (let i = 0; i < dim; i++) dot += query[i]! * rows[start + i]!;
        const cosine = (dot * this.#inverseLengths[first + image]!) / length;
        const similarity = Math.min(1, Math.max(-1, cosine));
        if (similarity > best.similarity) Object.assign(best, { image, similarity });
      }
      first += images;
      if (best.similarity < least || (nearest.length === k && best.similarity <= nearest.at(-1)!.similarity))
        continue;
      const place = nearest.findIndex(({ similarity }) => similarity < best.similarity);
      nearest.splice(place < 0 ? nearest.length : place, 0, { id, labels, payload, ...best });
      if (nearest.length > k) nearest.pop();
    }
    return nearest;
  }
}
