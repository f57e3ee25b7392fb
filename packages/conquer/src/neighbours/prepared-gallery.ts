import { aten, NeighbourCandidates, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { clampedK, nearestNeighbours } from './nearest.js';
import { neighboursOf } from './nearest-by-rows.js';
import { SLACK } from './nearest-candidates.js';
import type { Neighbours } from './neighbours.js';
import {
  centre,
  filterError,
  liesAroundOrigin,
  type Space,
  spaceOf,
  squaredNorms,
} from './product-filter.js';

/** Queries at a time. */
const QUERY_ROWS = 2048;
/** Candidates of theirs, of 16 bytes: fewer queries at a time for a large k. */
const MOST_CANDIDATES = 2 ** 25;
/**
 * Up to so many queries are multiplied one by one: a matrix times a vector is one pass over the matrix, and a product of
 * matrices takes three times as long for the first.
 */
const FEW_QUERIES = 3;
/** Rows of the gallery at a time for one query (16 MB of results), for a few, and for many: the cache can hold them. */
const GALLERY_ROWS = { one: 2 ** 22, few: 512, many: 2048 };
/** Rows that are moved at a time. */
const COPIED_ROWS = 8192;
/** Rows are taken products of as they are while their mean has up to this share of their mean square. */
const OFFSET_SHARE = 15 / 16;
/** In the gallery's scale, where its largest number is near 1: squares of queries of up to this do not overflow. */
const LARGEST_QUERY = 2 ** 40;

/**
 * A gallery that is searched again and again, for one query or a few at a time: all that does not depend on the queries is
 * done once. What it finds is what `nearestNeighbours` finds, ties by index included: products in float32 only say which rows
 * may be near, and differences in float64 decide.
 *
 * Memory beside the gallery's own: 8 bytes a row (for rows of 384 numbers half a percent). Rows that lie so far from the
 * origin, compared with how far they lie from each other, that products of them would decide little (see `OFFSET_SHARE`:
 * embeddings that have all but collapsed), or whose numbers are not near 1, are held a second time, moved: as much again as
 * the gallery. A gallery that is not contiguous is copied.
 */
export class PreparedGallery {
  /** (M, D), as it was given. */
  readonly #gallery: Tensor;
  /** (M, D) whose products are taken: the gallery itself, or moved. */
  readonly #rows: Tensor;
  /** (1, M), |y|² of these. */
  readonly #squares: Tensor;
  /** (M,), |y| of these. */
  readonly #norms: Tensor;
  /** In which these lie. */
  readonly #moved: Space;
  /** In which products lose least: for what float32 does not decide. */
  readonly #space: Space;

  /**
   * @param gallery float32 (M, D) on the CPU; it must not be changed while it is searched. It stays the caller's, who may
   *   dispose it
   * @throws RangeError for another shape, dtype or device, or where a number is NaN or infinite
   */
  constructor(gallery: Tensor) {
    if (gallery.ndim !== 2 || gallery.dtype !== 'float32' || gallery.device !== 'cpu')
      throw new RangeError(
        `a prepared gallery: expected float32 (M, D) on the CPU, got ${gallery.dtype} [${gallery.shape}] on ${gallery.device}`,
      );
    const made = scope(() =>
      noGrad(() => {
        const given = gallery.detach().contiguous();
        const space = spaceOf('a prepared gallery', given, null);
        const squares = squaredNorms(given);
        const total = scope(() => squares.to({ dtype: 'float64' }).sum().item());
        const asGiven = liesAroundOrigin(space, total, given.size(0), OFFSET_SHARE);
        const rows = asGiven ? given : movedRows(given, space);
        const moved = asGiven ? { scale: 1, mean: space.mean.mul(0) } : space;
        const ofRows = (asGiven ? squares : squaredNorms(rows)).reshape([1, -1]);
        for (const held of [given, rows, ofRows, space.mean, moved.mean]) held.keep();
        return { given, rows, squares: ofRows, norms: ofRows.select(0, 0).sqrt().keep(), space, moved };
      }),
    );
    this.#gallery = made.given;
    this.#rows = made.rows;
    this.#squares = made.squares;
    this.#norms = made.norms;
    this.#space = made.space;
    this.#moved = made.moved;
  }

  /** M. */
  get count(): number {
    return this.#gallery.size(0);
  }

  /** Bytes that are held beside the gallery's own. */
  get extraBytes(): number {
    return 8 * this.count + (this.#rows === this.#gallery ? 0 : 4 * this.#gallery.numel());
  }

  /**
   * The exact k nearest of each query, as `nearestNeighbours`.
   *
   * @param queries (N, D); those that are not float32 on the CPU are searched as if nothing were prepared
   * @throws RangeError if k is not a positive whole number, the shapes do not fit, or a number is NaN or infinite
   */
  nearest(queries: Tensor, k: number): Neighbours {
    const width = clampedK(queries, this.#gallery, k);
    const prepared =
      queries.dtype === 'float32' && queries.device === 'cpu' && width > 0 && this.#holds(queries);
    if (!prepared) return nearestNeighbours(queries, this.#gallery, k);
    const count = queries.size(0);
    const found = {
      k: width,
      indices: new Int32Array(count * width),
      distances: new Float32Array(count * width),
    };
    const rows = Math.max(1, Math.min(QUERY_ROWS, Math.floor(MOST_CANDIDATES / (width + SLACK))));
    for (let start = 0; start < count; start += rows) {
      scope(() =>
        noGrad(() => {
          const block = queries
            .detach()
            .narrow(0, start, Math.min(rows, count - start))
            .contiguous();
          const { indices, distances } = this.#nearestOf(block, width);
          found.indices.set(indices, start * width);
          found.distances.set(distances, start * width);
        }),
      );
    }
    return found;
  }

  /** Whether products with the queries neither overflow nor are NaN. */
  #holds(queries: Tensor): boolean {
    if (queries.numel() === 0) return false;
    const largest = scope(() => aten.linalg_vector_norm(queries, Number.POSITIVE_INFINITY).item());
    return largest * this.#moved.scale <= LARGEST_QUERY;
  }

  #nearestOf(queries: Tensor, k: number): Pick<Neighbours, 'indices' | 'distances'> {
    const [rows, count] = [queries.size(0), this.count];
    const keep = Math.min(k + SLACK + Math.floor(k / SLACK), count);
    const moved = centre(queries, this.#moved, 'float32');
    const squares = squaredNorms(moved);
    const candidates = new NeighbourCandidates(rows, keep, count);
    try {
      const columns = GALLERY_ROWS[rows === 1 ? 'one' : rows <= FEW_QUERIES ? 'few' : 'many'];
      for (let start = 0; start < count; start += columns) {
        scope(() => this.#offer(candidates, moved, squares, start, Math.min(columns, count - start)));
      }
      const { unsettled, indices, distances } = candidates.settle({
        row: 0,
        queries,
        gallery: this.#gallery,
        queryNorms: squares.select(1, 0).sqrt(),
        galleryNorms: this.#norms,
        ...filterError('float32', this.#gallery.size(1)),
        scale: this.#moved.scale,
        k,
        ordered: k,
        cuts: tensor(new Int32Array(0)),
        exact: true,
      });
      const open = keep < count ? unsettled : [];
      if (open.length > 0) {
        const search = { queries, all: this.#gallery, space: this.#space, own: false };
        const settled = neighboursOf(search, Int32Array.from(open), k, 'float64');
        for (const [i, row] of open.entries()) {
          indices.set(settled.indices.subarray(i * k, (i + 1) * k), row * k);
          distances.set(settled.distances.subarray(i * k, (i + 1) * k), row * k);
        }
      }
      return { indices, distances };
    } finally {
      candidates.dispose();
    }
  }

  /** |y|² - 2 x·y + |x|² of all queries and `some` rows of the gallery. */
  #offer(candidates: NeighbourCandidates, queries: Tensor, norms: Tensor, start: number, some: number): void {
    const gallery = this.#rows.narrow(0, start, some);
    const squares = this.#squares.narrow(1, start, some);
    const count = queries.size(0);
    if (count > FEW_QUERIES) {
      candidates.offer(aten.addmm(squares, queries, gallery.t(), 1, -2).add_(norms), 0, start);
      return;
    }
    for (let row = 0; row < count; row++) {
      const products = aten.addmv(squares.select(0, 0), gallery, queries.select(0, row), 1, -2);
      candidates.offer(products.unsqueeze(0).add_(norms.narrow(0, row, 1)), row, start);
    }
  }

  /** Frees what was prepared; not the gallery. */
  dispose(): void {
    const { mean } = this.#space;
    const held = [this.#gallery, this.#rows, this.#squares, this.#norms, mean, this.#moved.mean];
    for (const one of new Set(held)) one.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function movedRows(rows: Tensor, space: Space): Tensor {
  const result = aten.empty_like(rows);
  // In pieces: a second copy of all rows would be as large as they are.
  for (let start = 0; start < rows.size(0); start += COPIED_ROWS) {
    scope(() => {
      const count = Math.min(COPIED_ROWS, rows.size(0) - start);
      result.narrow(0, start, count).copy_(centre(rows.narrow(0, start, count), space, 'float32'));
    });
  }
  return result;
}
