import { native } from './binding.js';
import { attempt } from './error.js';
import type { QuantizedRows } from './quantized-rows.js';
import { Tensor } from './tensor.js';

/** Some rows of the gallery for each query. */
export interface PlacesOfQueries {
  /** (N + 1) int32: where those of a query begin */
  starts: Tensor;
  /** (P,) int32 */
  places: Tensor;
}

/** Rows of the gallery, some for each query, before which others are counted: see native/rank-counts.h. */
export interface RankTargets extends PlacesOfQueries {
  /** (P,) float64, from `sortTargets` */
  squares: Tensor;
  /** (P,) float32: the same as the quantized rows have them, rounded down and up */
  lows: Tensor;
  highs: Tensor;
  /** (N,) int32: of a query's targets only the first so many are counted for */
  kept: Tensor;
  /** (N,) float32: what is farther is not looked at, squared, as the quantized rows have it */
  limits: Tensor;
  /** (P + N,) int32, zeros at first */
  counts: Tensor;
}

/** What is searched, float32 on the CPU. */
export interface CountedRows {
  /** (N, D) */
  queries: Tensor;
  /** (M, D) */
  gallery: Tensor;
  quantizedQueries: QuantizedRows;
  quantizedGallery: QuantizedRows;
  /** The queries are the gallery, and none is compared with itself. */
  same: boolean;
}

/**
 * Puts the places of each query in the order of their squared distances, equal ones of the places.
 * @returns (P,) float64, these distances
 */
export function sortTargets(queries: Tensor, gallery: Tensor, { starts, places }: PlacesOfQueries): Tensor {
  return new Tensor(
    attempt('sortTargets', () =>
      native.sortTargets(queries.handle, gallery.handle, starts.handle, places.handle),
    ),
  );
}

const handlesOf = (of: RankTargets) =>
  [of.starts, of.places, of.squares, of.lows, of.highs, of.kept, of.limits, of.counts].map(
    ({ handle }) => handle,
  );

/**
 * Sets `kept` and `limits` by a sample of the gallery: where more of it than `rank` may be nearer to a query than its last target,
 * what is farther than the sample's row of that rank (from 0) will not be looked at, nor the targets there be counted for.
 *
 * @param size of the gallery
 * @returns the share of all pairs that products are expected to leave undecided
 */
export function limitTargets(
  rows: QuantizedRows,
  sample: QuantizedRows,
  { rank, size }: { rank: number; size: number },
  targets: RankTargets,
): number {
  const undecided = attempt('limitTargets', () =>
    native.limitTargets(
      rows.dimensions,
      rows.packed.handle,
      rows.facts.handle,
      sample.packed.handle,
      sample.facts.handle,
      sample.count,
      rank,
      size,
      handlesOf(targets),
    ),
  );
  return undecided / (Math.max(1, rows.count) * sample.count);
}

/**
 * Counts what some rows of the gallery are to some queries. Where the queries are the gallery, a pair of rows is looked at once, in
 * the block that has the lower as a query, and counts for both.
 *
 * @param block of whole tiles: it begins and ends at multiples of 32, or ends where all rows do
 */
export function countNearer(
  of: CountedRows,
  targets: RankTargets,
  block: { firstRow: number; rowCount: number; firstColumn: number; columnCount: number },
): void {
  attempt('countNearer', () =>
    native.countNearer(
      of.queries.handle,
      of.gallery.handle,
      of.quantizedQueries.packed.handle,
      of.quantizedQueries.facts.handle,
      of.quantizedGallery.packed.handle,
      of.quantizedGallery.facts.handle,
      of.same,
      handlesOf(targets),
      block.firstRow,
      block.rowCount,
      block.firstColumn,
      block.columnCount,
    ),
  );
}

/** Takes off what the gallery's rows that a query leaves out have counted. */
export function discountOwn(of: CountedRows, targets: RankTargets, own: PlacesOfQueries): void {
  attempt('discountOwn', () =>
    native.discountOwn(
      of.queries.handle,
      of.gallery.handle,
      handlesOf(targets),
      own.starts.handle,
      own.places.handle,
    ),
  );
}
