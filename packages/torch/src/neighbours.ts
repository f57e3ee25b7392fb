import { native } from './binding.js';
import { empty, full, zeros } from './creation.js';
import { attempt } from './error.js';
import { Tensor } from './tensor.js';

export interface SettledNeighbours {
  /** (rows × k), nearest first; of equally near ones the lower index first. */
  indices: Int32Array;
  /** (rows × k), Euclidean. */
  distances: Float32Array;
  /** Rows for which something that was dropped may belong among the k; also those with too few candidates. */
  unsettled: number[];
}

export interface SettleOptions {
  row: number;
  /** (B, D) the vectors of these rows */
  queries: Tensor;
  /** (M, D) the vectors by index */
  gallery: Tensor;
  /** (B,) norms of the rows, and (M,) of the gallery, as they were where the offered squared distances come from. */
  queryNorms: Tensor;
  galleryNorms: Tensor;
  /** An offered squared distance is wrong by at most relative · (query norm + gallery norm)² + absolute. */
  relative: number;
  absolute: number;
  /** The offered distances are so many times those of the vectors; a power of two. */
  scale: number;
  k: number;
  /** So many come in order; behind them only which are among the first of each of `cuts`, int32 and ascending, and of k. */
  ordered: number;
  cuts: Tensor;
  /** Compute all k distances from the vectors, not only those that decide the order. */
  exact: boolean;
}

/** One side of a block of distances that is never there as a whole: rows as 16-bit integers. */
export interface PackedRows {
  /** D */
  dimensions: number;
  /** (B,), |x|² */
  squares: Tensor;
  packed: Tensor;
}

/**
 * Packs rows (B, D) float32 of the squared norms `squares` (B,) as the rows or the columns of a block take them.
 *
 * @returns null where the processor has no instructions for products of integers
 */
export function packRows(rows: Tensor, squares: Tensor, side: 'rows' | 'columns'): PackedRows | null {
  const handle = attempt('packRows', () => native.packRows(rows.handle, squares.handle, side === 'columns'));
  return handle === null ? null : { dimensions: rows.size(1), squares, packed: new Tensor(handle) };
}

/**
 * The nearest few of each row, from blocks of squared distances that are looked at once: a matrix product and a
 * selection in one pass, without the whole matrix and without a full sort. float32 on the CPU.
 *
 * Memory is 8 bytes × rows × (keep + spare). A candidate that was not offered, or NaN, is never found.
 */
export class NeighbourCandidates {
  readonly #keep: number;
  readonly #keys: Tensor;
  readonly #counts: Tensor;
  readonly #thresholds: Tensor;

  /**
   * @param rows for how many rows neighbours are looked for
   * @param keep at least how many of each row's nearest are kept: k and some more, as rounding may misorder
   * @param available how many will be offered to each row
   * @param spare places beyond these; whenever they are full, the nearest are selected, so that fewer take more time
   */
  constructor(rows: number, keep: number, available: number, spare = keep) {
    this.#keep = keep;
    const capacity = Math.max(keep, Math.min(keep + spare, available));
    this.#keys = empty([rows, capacity], { dtype: 'int64' }).keep();
    this.#counts = zeros([rows], { dtype: 'int32' }).keep();
    this.#thresholds = full([rows], Number.POSITIVE_INFINITY, { dtype: 'float32' }).keep();
  }

  /**
   * Offers squared distances: block (B, C), of the rows `row`, `row + 1`, … to the indices `index`, `index + 1`, ….
   * `transposed`: the block's columns are the rows here, and its rows the indices.
   */
  offer(block: Tensor, row: number, index: number, { transposed = false } = {}): void {
    native.offerDistances(
      block.handle,
      this.#keys.handle,
      this.#counts.handle,
      this.#thresholds.handle,
      this.#keep,
      row,
      index,
      transposed,
    );
  }

  /**
   * Offers `squares` (C,) - 2 x·y of all rows' vectors (`queries`, (rows, D), a few) and C others (C, D), of the indices `index`,
   * `index + 1`, …: in one pass over these, whose products are never there as a whole.
   */
  offerProducts(queries: Tensor, others: Tensor, squares: Tensor, index: number): void {
    attempt('offerProducts', () =>
      native.offerProducts(
        queries.handle,
        others.handle,
        squares.handle,
        this.#keys.handle,
        this.#counts.handle,
        this.#thresholds.handle,
        this.#keep,
        index,
      ),
    );
  }

  /**
   * Offers the squared distances of a block's rows to its columns, each wrong by some 2^-11 (√D / 32) (|x| + |y|)² (see
   * native/integer-products.h).
   *
   * @param at `row` and `index` as of `offer`; `transposed`: where the columns are rows here too, and the indices of the block's
   *   rows for them; `same`: rows and columns are the same, and none is offered to itself
   */
  offerPacked(
    rows: PackedRows,
    columns: PackedRows,
    at: {
      row: number;
      index: number;
      transposed?: { row: number; index: number } | undefined;
      same: boolean;
    },
  ): void {
    attempt('offerPacked', () =>
      native.offerPacked(
        rows.dimensions,
        rows.squares.handle,
        rows.packed.handle,
        columns.squares.handle,
        columns.packed.handle,
        this.#keys.handle,
        this.#counts.handle,
        this.#thresholds.handle,
        this.#keep,
        at.row,
        at.index,
        at.transposed?.row ?? -1,
        at.transposed?.index ?? 0,
        at.same,
      ),
    );
  }

  /** Forgets everything, for other rows. */
  clear(): void {
    this.#counts.zero_();
    this.#thresholds.fill_(Number.POSITIVE_INFINITY);
  }

  /**
   * Rows from `row` on begin with these thresholds (B,) instead of infinity: a squared distance beyond is not kept. A
   * guess that fewer than `keep` candidates meet leaves the row unsettled.
   */
  expect(thresholds: Tensor, row: number): void {
    using some = this.#thresholds.narrow(0, row, thresholds.size(0));
    some.copy_(thresholds);
  }

  /** The k nearest of the rows `row` to `row + B`. */
  settle(of: SettleOptions): SettledNeighbours {
    const { row, queries, gallery } = of;
    const count = queries.size(0);
    using keys = this.#keys.narrow(0, row, count);
    using counts = this.#counts.narrow(0, row, count);
    using thresholds = this.#thresholds.narrow(0, row, count);
    const handles = attempt('settleNeighbours', () =>
      native.settleNeighbours(
        keys.handle,
        counts.handle,
        thresholds.handle,
        this.#keep,
        queries.handle,
        gallery.handle,
        of.queryNorms.handle,
        of.galleryNorms.handle,
        of.relative,
        of.absolute,
        of.scale,
        of.k,
        of.ordered,
        of.cuts.handle,
        of.exact,
      ),
    );
    using indices = new Tensor(handles[0]);
    using distances = new Tensor(handles[1]);
    using marks = new Tensor(handles[2]);
    const unsettled = marks.toTypedArray();
    return {
      indices: indices.toTypedArray() as Int32Array,
      distances: distances.toTypedArray() as Float32Array,
      unsettled: Array.from(unsettled.keys()).filter((i) => unsettled[i] === 1),
    };
  }

  /** Frees the candidates. */
  dispose(): void {
    for (const held of [this.#keys, this.#counts, this.#thresholds]) held.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
