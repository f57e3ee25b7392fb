import type { IndexItem } from '@conquer-dml/run';
import { scope } from '@conquer-dml/torch';
import { type RowData, rowsFrom } from '../row-data.js';
import { unitRowsOf } from './index-rows.js';
import { inPieces, type StoreBatch } from './stores/vector-store.js';

/** Items that are written at a time. */
const BATCH = 16_384;

/**
 * Rows as a store is given them: of length 1, float32, one after the other.
 * @param owners an id for each row, for messages; null: they are queries
 * @throws RangeError where there are not as many, they are not of D numbers, or one has no direction
 */
export function unitNumbers(
  what: string,
  data: RowData,
  dim: number,
  owners: readonly string[] | null,
): Float32Array {
  return scope(() => {
    const rows = rowsFrom(what, data, { dim });
    const count = owners?.length ?? rows.size(0);
    if (rows.ndim !== 2 || rows.size(0) !== count || rows.size(1) !== dim)
      throw new RangeError(`${what}: expected (${owners ? count : 'Q'}, ${dim}) rows, got [${rows.shape}]`);
    const unit = unitRowsOf(what, rows, (row) =>
      owners ? `the row of ${owners[row]}` : `the row of query ${row + 1}`,
    );
    return unit.toTypedArray() as Float32Array;
  });
}

/** Items with their rows, in pieces that a store takes at a time. */
export function* storeBatches(
  items: readonly IndexItem[],
  rows: Float32Array,
  dim: number,
): Generator<StoreBatch> {
  let row = 0;
  for (const some of inPieces(items, BATCH)) {
    const count = some.reduce((sum, { images }) => sum + images.length, 0);
    yield { items: some, rows: rows.subarray(row * dim, (row + count) * dim) };
    row += count;
  }
}
