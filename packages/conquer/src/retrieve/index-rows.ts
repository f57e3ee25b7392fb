import { SegmentFile } from '@conquer-dml/run';
import { aten, cat, empty, noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { UNIT_ERROR } from '../neighbours/unit-gallery.js';

/** Rows that are looked at, or written, at a time. */
const ROWS = 16384;

/**
 * Rows as an index holds and compares them: of length 1, float32 on the CPU. A row that has that length but for rounding stays bit
 * for bit as it is.
 *
 * @param rows (N, D) of finite numbers, not all of them zero, however large
 * @param nameOf a row, for messages
 * @returns (N, D), a copy; it belongs to the innermost open scope(), or else to the caller
 * @throws RangeError where a row has no direction: it holds NaN or infinity, or only zeros
 */
export function unitRowsOf(what: string, rows: Tensor, nameOf: (row: number) => string): Tensor {
  return scope(() =>
    noGrad(() => {
      const [count, dim] = rows.shape as [number, number];
      const made = empty([count, dim]);
      const given = rows.detach();
      for (let start = 0; start < count; start += ROWS) {
        scope(() => {
          const some = Math.min(ROWS, count - start);
          const own = given.narrow(0, start, some).to('cpu').to({ dtype: 'float32' }).contiguous();
          // Of float32 numbers no square overflows or vanishes in float64.
          const lengths = aten.linalg_vector_norm(own, 2, [1], true, 'float64');
          const numbers = lengths.toTypedArray() as Float64Array;
          for (const [row, length] of numbers.entries()) {
            if (Number.isFinite(length) && length > 0) continue;
            const problem = length === 0 ? 'zero, which has no direction' : 'not of finite float32 numbers';
            throw new RangeError(`${what}: ${nameOf(start + row)} is ${problem}`);
          }
          const isUnit = numbers.every((length) => Math.abs(length * length - 1) <= UNIT_ERROR / 2);
          const into = made.narrow(0, start, some);
          if (isUnit) into.copy_(own);
          else {
            const off = lengths
              .square()
              .sub(1)
              .abs()
              .le(UNIT_ERROR / 2);
            const divided = own.to({ dtype: 'float64' }).div(lengths).to({ dtype: 'float32' });
            into.copy_(aten.where$self(off, own, divided));
          }
        });
      }
      return made;
    }),
  );
}

/** Rows of a file of nothing else, mapped into memory: read when they are looked at. They belong to the caller. */
export function mapRows(file: string, rows: number, dim: number): Tensor {
  return scope(() =>
    aten
      .from_file(file, false, rows * dim, 'float32')
      .view([rows, dim])
      .keep(),
  );
}

/** Runs of rows, each of them together. */
export interface RowRun {
  rows: Tensor;
  start: number;
  count: number;
}

/** Writes rows into a new file. @returns SHA-256 of it */
export function writeRows(path: string, runs: Iterable<RowRun>): string {
  using file = new SegmentFile(path);
  for (const { rows, start, count } of runs) {
    for (let done = 0; done < count; done += ROWS) {
      using some = rows.narrow(0, start + done, Math.min(ROWS, count - done));
      const { buffer, byteOffset, byteLength } = some.toTypedArray() as Float32Array;
      file.write(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return file.end();
}

/** Runs of rows as one tensor, a copy; it belongs to the innermost open scope(), or else to the caller. */
export function joinedRows(runs: readonly RowRun[], dim: number): Tensor {
  return scope(() => {
    if (runs.length === 0) return empty([0, dim]);
    return cat(runs.map(({ rows, start, count }) => rows.narrow(0, start, count)));
  });
}

/** (places.length, D), a copy of the rows at some places. */
export function rowsAt(rows: Tensor, places: readonly number[]): Tensor {
  using order = tensor(Int32Array.from(places), { dtype: 'int32' });
  return rows.indexSelect(0, order);
}
