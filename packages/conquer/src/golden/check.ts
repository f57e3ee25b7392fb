import { type Tensor, tensor } from '@conquer-dml/torch';

/** In which precision, and on which device, the implementation computes. */
export interface Arithmetic {
  dtype: 'float64' | 'float32';
  /** 'cpu', 'cuda:0', … */
  device: string;
}

export const FLOAT64: Arithmetic = { dtype: 'float64', device: 'cpu' };

/** How far a number may be off, relative to the expected one. */
export const TOLERANCE: Record<Arithmetic['dtype'], number> = { float64: 1e-9, float32: 1e-4 };

/** What is left of numbers around 1 that cancel, by the tolerance of their precision. */
const rounding = (tolerance: number) => (tolerance > TOLERANCE.float64 ? 1e-7 : 1e-15);

/** What comparing one file gave. */
export interface GoldenResult {
  /** Cases that were compared. */
  cases: number;
  /** The worst relative error of all of them. */
  worst: number;
  /** One line for each comparison beyond the tolerance. */
  failures: string[];
  /** What the file holds but the implementation does not, with the number of cases. */
  notYet: Map<string, number>;
}

/**
 * Compares what one golden file holds with the implementation. `folder` is where it lies: other files that it names lie
 * there, too.
 */
export type GoldenCheck = (cases: unknown, on?: Arithmetic, folder?: string) => GoldenResult;

/** The same of what is read on threads. */
export type SlowGoldenCheck = (...given: Parameters<GoldenCheck>) => Promise<GoldenResult>;

/** The file does not hold what a golden file of its name holds. */
export class GoldenFormatError extends Error {
  override readonly name = 'GoldenFormatError';
}

/** A tensor as the golden files hold it, row-major. */
export interface GoldenTensor {
  shape: number[];
  data: number[];
}

/** Collects the comparisons of one file. */
export class Comparison {
  readonly result: GoldenResult = { cases: 0, worst: 0, failures: [], notYet: new Map() };

  constructor(private readonly tolerance: number) {}

  /** Starts a case that is going to be compared. */
  begin(): void {
    this.result.cases++;
  }

  notYet(what: string): void {
    this.result.notYet.set(what, (this.result.notYet.get(what) ?? 0) + 1);
  }

  /**
   * Compares numbers; for several the error is relative to the largest expected magnitude among them, because
   * single entries of a gradient may be 0. `tolerance` gives one comparison more room; say why where it is used.
   */
  close(what: string, got: ArrayLike<number>, want: ArrayLike<number>, tolerance = this.tolerance): void {
    if (got.length !== want.length) {
      this.fail(`${what}: expected ${want.length} numbers, got ${got.length}`);
      return;
    }
    let scale = 0;
    let off = 0;
    for (let i = 0; i < want.length; i++) {
      scale = Math.max(scale, Math.abs(want[i] as number));
      const difference = Math.abs((got[i] as number) - (want[i] as number));
      off = Math.max(off, Number.isNaN(difference) ? Infinity : difference);
    }
    // Where all that is expected is rounding, so is what comes.
    const error = off <= rounding(tolerance) ? 0 : scale > 0 ? off / scale : off;
    this.result.worst = Math.max(this.result.worst, error);
    if (!(error <= tolerance)) this.fail(`${what}: relative error ${error.toExponential(1)}`);
  }

  /** Compares rows of features (B, D): the error is relative to the length of the expected row. */
  rows(what: string, got: ArrayLike<number>, want: GoldenTensor, tolerance = this.tolerance): void {
    const [rows = 0, size = 0] = want.shape;
    if (got.length !== rows * size) {
      this.fail(`${what}: expected ${rows * size} numbers, got ${got.length}`);
      return;
    }
    let error = 0;
    for (let row = 0; row < rows; row++) {
      const expected = want.data.slice(row * size, (row + 1) * size);
      const off = Math.hypot(...expected.map((value, i) => value - (got[row * size + i] as number)));
      error = Math.max(error, Number.isNaN(off) ? Infinity : off / Math.hypot(...expected));
    }
    this.result.worst = Math.max(this.result.worst, error);
    if (!(error <= tolerance)) this.fail(`${what}: off by ${error.toExponential(1)} of the row's length`);
  }

  /** Compares integers that must be the same. */
  same(what: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
    let different = Math.abs(got.length - want.length);
    for (let i = 0; i < Math.min(got.length, want.length); i++) different += Number(got[i] !== want[i]);
    if (different > 0) this.fail(`${what}: ${different} of ${want.length} differ`);
  }

  private fail(line: string): void {
    this.result.failures.push(line);
    this.result.worst = Math.max(this.result.worst, Number.MIN_VALUE);
  }
}

/** A case of a loss: its place in the file, its name, and its options, whole and one number at a time. */
export interface LossCase<Make> {
  place: number;
  name: string;
  item: Record<string, unknown>;
  make: Make;
  options: Record<string, unknown>;
  number: (option: string) => number;
}

/** Begins each case of a loss that is known by its name; the others are not there yet. */
export function* lossCases<Make>(
  cases: unknown,
  losses: Record<string, Make>,
  comparison: Comparison,
): Generator<LossCase<Make>> {
  for (const [place, item] of readCases(cases).entries()) {
    const name = String(item.loss);
    const make = losses[name];
    if (!make) {
      comparison.notYet(name);
      continue;
    }
    comparison.begin();
    const options = readObject(item.options, `the options of case ${place}`);
    const number = (option: string) => readNumber(options[option], `option ${option} of case ${place}`);
    yield { place, name, item, make, options, number };
  }
}

export function readCases(value: unknown): Record<string, unknown>[] {
  if (!Array.isArray(value)) throw new GoldenFormatError('expected a list of cases');
  return value.map((item, i) => readObject(item, `case ${i}`));
}

export function readObject(value: unknown, what: string): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new GoldenFormatError(`expected an object for ${what}, got ${describe(value)}`);
  }
  return value as Record<string, unknown>;
}

export function readText(value: unknown, what: string): string {
  if (typeof value !== 'string') {
    throw new GoldenFormatError(`expected a text for ${what}, got ${describe(value)}`);
  }
  return value;
}

export function readNumber(value: unknown, what: string): number {
  if (typeof value !== 'number') {
    throw new GoldenFormatError(`expected a number for ${what}, got ${describe(value)}`);
  }
  return value;
}

export function readNumbers(value: unknown, what: string): number[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'number')) {
    throw new GoldenFormatError(`expected a list of numbers for ${what}, got ${describe(value)}`);
  }
  return value;
}

export function readIndices(value: unknown, what: string): Int32Array {
  return Int32Array.from(readNumbers(value, what));
}

export function readGoldenTensor(value: unknown, what: string): GoldenTensor {
  const { shape, data } = readObject(value, what);
  const read = { shape: readNumbers(shape, `${what}'s shape`), data: readNumbers(data, `${what}'s data`) };
  const size = read.shape.reduce((a, b) => a * b, 1);
  if (size !== read.data.length) {
    throw new GoldenFormatError(`${what} has shape [${read.shape}] but ${read.data.length} numbers`);
  }
  return read;
}

export function toTensor({ shape, data }: GoldenTensor, on: Arithmetic): Tensor {
  return tensor(Float64Array.from(data), { shape, ...on });
}

function describe(value: unknown): string {
  return value === undefined ? 'nothing' : (JSON.stringify(value)?.slice(0, 40) ?? typeof value);
}

/** What a loss with something to learn for each class is made with: the classes and dimensions of a case's embeddings. */
export function readSizes(item: Record<string, unknown>): { numClasses: number; embeddingDim: number } {
  return {
    numClasses: readNumber(item.numClasses, 'numClasses'),
    embeddingDim: readGoldenTensor(item.embeddings, 'the embeddings').shape[1] ?? 0,
  };
}
