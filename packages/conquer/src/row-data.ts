import { Tensor, tensor } from '@conquer-dml/torch';

/**
 * Rows of numbers, N of D: a tensor (N, D), a list of N rows, or all their numbers one row after the other, as
 * `Embedder.embed` gives them.
 */
export type RowData =
  | Tensor
  | Float32Array
  | Float64Array
  | readonly number[]
  | readonly (readonly number[] | Float32Array | Float64Array)[];

/** The class of each of N rows: whole numbers of any size, or names. */
export type Labels = Int32Array | BigInt64Array | readonly (number | bigint)[] | readonly string[];

/** What is known of rows: of those without a shape, one of the two says it. */
export interface RowShape {
  /** N. */
  count?: number | undefined;
  /** D. */
  dim?: number | undefined;
}

/**
 * Rows as a tensor: a given one as it is; another, float64 of a Float64Array and else float32 on the CPU, belongs to the
 * innermost open scope(), or else to the caller.
 *
 * @param what whose rows they are, for messages
 * @throws TypeError for what is no rows; RangeError for rows of different length, or that do not fit `shape`
 */
export function rowsFrom(what: string, data: RowData, shape: RowShape): Tensor {
  if (data instanceof Tensor) return data;
  if (data instanceof Float32Array || data instanceof Float64Array) return flatRows(what, data, shape);
  if (!Array.isArray(data))
    throw new TypeError(
      `${what}: expected a tensor (N, D), a list of rows or a Float32Array, got ${shown(data)}`,
    );
  const rows = data as readonly unknown[];
  if (rows.every((value) => typeof value === 'number'))
    return flatRows(what, Float32Array.from(rows as readonly number[]), shape);
  return listedRows(what, rows);
}

function flatRows(what: string, numbers: Float32Array | Float64Array, { count, dim }: RowShape): Tensor {
  const { length } = numbers;
  if (dim === undefined && count === undefined)
    throw new RangeError(
      `${what}: got ${length} numbers one after the other: say how many of them are a row, with dim`,
    );
  const width = dim ?? (count === 0 ? 0 : length / count!);
  const rows = dim === undefined ? count! : length / dim;
  if (!Number.isInteger(width) || !Number.isInteger(rows) || rows * width !== length || width < 0)
    throw new RangeError(
      dim === undefined
        ? `${what}: expected as many numbers for each of ${count} rows, got ${length}`
        : `${what}: expected rows of ${dim} numbers each, got ${length} numbers`,
    );
  return tensor(numbers, { shape: [rows, width] });
}

function listedRows(what: string, rows: readonly unknown[]): Tensor {
  const isRow = (row: unknown): row is ArrayLike<number> =>
    Array.isArray(row) || row instanceof Float32Array || row instanceof Float64Array;
  const first = rows[0];
  const width = isRow(first) ? first.length : 0;
  const numbers = new Float32Array(rows.length * width);
  for (const [place, row] of rows.entries()) {
    if (!isRow(row)) throw new TypeError(`${what}: expected numbers as row ${place + 1}, got ${shown(row)}`);
    if (row.length !== width)
      throw new RangeError(
        `${what}: expected rows of one length, got ${width} numbers first and ${row.length} as row ${place + 1}`,
      );
    const other = Array.prototype.find.call(row, (value) => typeof value !== 'number');
    if (other !== undefined)
      throw new TypeError(`${what}: expected numbers in row ${place + 1}, got ${shown(other)}`);
    numbers.set(row, place * width);
  }
  return tensor(numbers, { shape: [rows.length, width] });
}

/**
 * Labels numbered anew, 0, 1, …, in the order in which they occur: whatever they are, no two become one.
 *
 * @param what whose labels they are, for messages
 * @param numbers of the labels so far, in which new ones get the next: the same ones for rows that are compared
 * @throws TypeError for what is no list of numbers or of names; RangeError for a number that is no whole one, or too large to
 *   be told from the next (a bigint never is)
 */
export function labelsFrom(
  what: string,
  labels: Labels,
  numbers = new Map<string | number, number>(),
): Int32Array {
  if (!Array.isArray(labels) && !(labels instanceof Int32Array || labels instanceof BigInt64Array))
    throw new TypeError(
      `${what}: expected an Int32Array, a list of numbers or a list of names as labels, got ${shown(labels)}`,
    );
  const named = isNamed(labels);
  const found = new Int32Array(labels.length);
  for (let place = 0; place < labels.length; place++) {
    const key = named ? labels[place] : wholeOf(labels[place]);
    if (named ? typeof key !== 'string' : key === null) {
      const value = shown(labels[place]);
      if (named || (typeof labels[place] !== 'number' && typeof labels[place] !== 'bigint'))
        throw new TypeError(
          `${what}: expected ${named ? 'names' : 'numbers'} as labels, got ${value} as label ${place + 1}`,
        );
      throw new RangeError(`${what}: expected whole numbers as labels, got ${value} as label ${place + 1}`);
    }
    const number = numbers.get(key!) ?? numbers.size;
    numbers.set(key!, number);
    found[place] = number;
  }
  return found;
}

/** A number and a bigint of one value are one label; null: it is no whole number. */
function wholeOf(value: unknown): number | string | null {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
  // -0 is 0 to a Map.
  return Number.isSafeInteger(value) ? (value as number) : null;
}

/** Whether labels are names; an empty list is of either kind. */
export const isNamed = (labels: Labels): labels is readonly string[] => typeof labels[0] === 'string';

function shown(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'bigint')
    return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  return Array.isArray(value) ? 'a list' : (value.constructor?.name ?? typeof value);
}
