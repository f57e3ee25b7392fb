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
      const given = rows.requiresGrad ? rows.detach() : rows;
      const unit = (start: number, some: number) => {
        const part = some === count ? given : given.narrow(0, start, some);
        const numbers = part.dtype === 'float32' ? part : part.to({ dtype: 'float32' });
        const own = numbers.toTypedArray() as Float32Array;
        toUnit(own, dim, (row, problem) => {
          throw new RangeError(`${what}: ${nameOf(start + row)} is ${problem}`);
        });
        return tensor(own, { shape: [some, dim] });
      };
      if (count <= ROWS) return unit(0, count);
      const made = empty([count, dim]);
      for (let start = 0; start < count; start += ROWS) {
        const some = Math.min(ROWS, count - start);
        scope(() => made.narrow(0, start, some).copy_(unit(start, some)));
      }
      return made;
    }),
  );
}

/** Brings rows to length 1 where they lie. In JavaScript: of a single query a call into libtorch for each step takes longer than the steps. */
function toUnit(numbers: Float32Array, dim: number, refuse: (row: number, problem: string) => never): void {
  for (let from = 0; from < numbers.length; from += dim) {
    // Of float32 numbers no square overflows or vanishes in float64.
    let squares = 0;
    for (let i = from; i < from + dim; i++) squares += numbers[i]! * numbers[i]!;
    if (squares === 0) refuse(from / dim, 'zero, which has no direction');
    if (!Number.isFinite(squares)) refuse(from / dim, 'not of finite float32 numbers');
    if (Math.abs(squares - 1) <= UNIT_ERROR / 2) continue;
    const length = Math.sqrt(squares);
    for (let i = from; i < from + dim; i++) numbers[i] = numbers[i]! / length;
  }
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
