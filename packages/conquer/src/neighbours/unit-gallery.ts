import {
  aten,
  full,
  NeighbourCandidates,
  noGrad,
  ones,
  scope,
  type Tensor,
  tensor,
} from '@conquer-dml/torch';
import { SLACK } from './nearest-candidates.js';
import type { Neighbours } from './neighbours.js';
import { filterError } from './product-filter.js';

/** Of a row's squared length from 1: what rounding a row of length 1 to float32 leaves. */
export const UNIT_ERROR = 2 ** -21;

/** Queries at a time. */
const QUERY_ROWS = 2048;
/** Candidates of theirs, of 16 bytes: fewer queries at a time for a large k. */
const MOST_CANDIDATES = 2 ** 25;
/** Up to so many queries are multiplied with each row as it comes: one pass over the rows, of which the memory is what takes long. */
const FEW_QUERIES = 4;
/** Rows at a time for more: the cache can hold their products. */
const GALLERY_ROWS = 2048;
/** How many times as many candidates are looked at where products left open which the k are, as among many copies of one row. */
const WIDER = 8;

/**
 * Rows of length 1 that are searched again and again, some of them hidden. Nothing is read of them before the first search, so
 * that they may be a file that is mapped into memory. Exact: products in float32 only say which rows may be near, differences in
 * float64 decide, and of equally near ones the lower index comes first.
 *
 * Memory beside the rows: 8 bytes a row.
 */
export class UnitGallery {
  readonly #rows: Tensor;
  /** (1, M): 2, what |x|² + |y|² is; NaN for what is hidden, which is never near. */
  readonly #squares: Tensor;
  /** (M,) */
  readonly #norms: Tensor;
  readonly #count: number;

  /**
   * @param rows float32 (M, D) on the CPU, contiguous, each of length 1 but for `UNIT_ERROR`; they stay the caller's
   * @param hidden rows that are not to be found, each once
   */
  constructor(rows: Tensor, hidden: Int32Array = new Int32Array(0)) {
    if (rows.ndim !== 2 || rows.dtype !== 'float32' || rows.device !== 'cpu')
      throw new RangeError(
        `a gallery of unit rows: expected float32 (M, D) on the CPU, got ${rows.dtype} [${rows.shape}]`,
      );
    const all = rows.size(0);
    this.#rows = rows;
    this.#count = all - hidden.length;
    this.#norms = ones([all]).keep();
    this.#squares = scope(() => {
      const squares = full([1, all], 2);
      if (hidden.length > 0)
        squares.select(0, 0).indexFill_(0, tensor(hidden, { dtype: 'int64' }), Number.NaN);
      return squares.keep();
    });
  }

  /** Rows that can be found. */
  get count(): number {
    return this.#count;
  }

  /**
   * The k nearest of each query, fewer where there are fewer rows.
   * @param queries float32 (N, D) on the CPU, contiguous, of length 1
   */
  nearest(queries: Tensor, k: number): Neighbours {
    const width = Math.min(k, this.#count);
    const count = queries.size(0);
    const found = {
      k: width,
      indices: new Int32Array(count * width),
      distances: new Float32Array(count * width),
    };
    if (width === 0) return found;
    const keep = width + SLACK + Math.floor(width / SLACK);
    const rows = Math.max(1, Math.min(QUERY_ROWS, Math.floor(MOST_CANDIDATES / keep)));
    for (let start = 0; start < count; start += rows) {
      scope(() =>
        noGrad(() => {
          const block = queries.narrow(0, start, Math.min(rows, count - start));
          const { indices, distances } = this.#nearestOf(block, width, keep);
          found.indices.set(indices, start * width);
          found.distances.set(distances, start * width);
        }),
      );
    }
    return found;
  }

  #nearestOf(queries: Tensor, k: number, wanted: number): Pick<Neighbours, 'indices' | 'distances'> {
    const [rows, all] = [queries.size(0), this.#rows.size(0)];
    const keep = Math.min(wanted, this.#count);
    const candidates = new NeighbourCandidates(rows, keep, this.#count);
    try {
      if (rows <= FEW_QUERIES) {
        candidates.offerProducts(queries, this.#rows, this.#squares.select(0, 0), 0);
      } else {
        for (let start = 0; start < all; start += GALLERY_ROWS)
          scope(() => this.#offer(candidates, queries, start, Math.min(GALLERY_ROWS, all - start)));
      }
      const { relative, absolute } = filterError('float32', this.#rows.size(1));
      const { unsettled, indices, distances } = candidates.settle({
        row: 0,
        queries,
        gallery: this.#rows,
        queryNorms: ones([rows]),
        galleryNorms: this.#norms,
        relative,
        absolute: absolute + 2 * UNIT_ERROR,
        scale: 1,
        k,
        ordered: k,
        cuts: tensor(new Int32Array(0)),
        exact: true,
      });
      for (const row of keep < this.#count ? unsettled : []) {
        const wider = scope(() => this.#nearestOf(queries.narrow(0, row, 1), k, WIDER * keep));
        indices.set(wider.indices, row * k);
        distances.set(wider.distances, row * k);
      }
      return { indices, distances };
    } finally {
      candidates.dispose();
    }
  }

  /** |y|² - 2 x·y + |x|² of all queries and `some` rows. */
  #offer(candidates: NeighbourCandidates, queries: Tensor, start: number, some: number): void {
    const gallery = this.#rows.narrow(0, start, some);
    const squares = this.#squares.narrow(1, start, some);
    candidates.offer(aten.addmm(squares, queries, gallery.t(), 1, -2), 0, start);
  }

  /** Frees what was made; not the rows. */
  dispose(): void {
    this.#squares.dispose();
    this.#norms.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
