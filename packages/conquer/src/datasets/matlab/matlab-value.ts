/** An array of a MATLAB file. Elements are in MATLAB's order: the first dimension changes fastest. */
export type MatlabValue =
  | {
      kind: 'numeric';
      dims: readonly number[];
      /** Real parts; 64-bit integers beyond 2^53 are rounded. */
      values: Float64Array;
    }
  | { kind: 'char'; dims: readonly number[]; rows: readonly string[] }
  | { kind: 'cell'; dims: readonly number[]; cells: readonly MatlabValue[] }
  /** A struct array: per field its value in each element. */
  | { kind: 'struct'; dims: readonly number[]; fields: ReadonlyMap<string, readonly MatlabValue[]> }
  /** What is not read: a sparse matrix, an object, a function, … */
  | { kind: 'other'; dims: readonly number[]; className: string };

/** `[]`, which MATLAB also writes where an element of a struct or cell array was never set. */
export const emptyMatlabValue: MatlabValue = { kind: 'numeric', dims: [0, 0], values: new Float64Array(0) };
