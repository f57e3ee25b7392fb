import { native } from './binding.js';
import { empty } from './creation.js';
import { attempt } from './error.js';
import type { Tensor } from './tensor.js';

/** The most numbers a row may have. */
const MOST_DIMENSIONS = 65_536;
/** Rows have places up to a multiple of this. */
const TILE = 32;
/** What is known of each row: scale, |x|², |x|, by how much it is wrong, and the sum of its integers. */
const FACTS = 5;

/** How many bits the products of integers have that this processor has instructions for; 0: it has none. */
export const quantizedBits = (): 0 | 8 | 16 => native.quantizedBits() as 0 | 8 | 16;

/**
 * Rows as integers of 8 or 16 bits, a quarter or half of what they take in float32, for products that bound squared distances: see
 * native/quantized-products.h.
 */
export class QuantizedRows {
  readonly packed: Tensor;
  /** (5, places) */
  readonly facts: Tensor;

  /**
   * @param count how many rows there will be, and `dimensions` how many numbers each has
   * @param bits no more than `quantizedBits()` where that is 8, which comes with the instructions for 16; else 16
   */
  constructor(
    readonly count: number,
    readonly dimensions: number,
    bits: 8 | 16,
  ) {
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS)
      throw new RangeError(
        `quantized rows: expected 1 to ${MOST_DIMENSIONS} numbers a row, got ${dimensions}`,
      );
    const places = Math.ceil(count / TILE) * TILE;
    const words = Math.ceil((dimensions * bits) / 32);
    this.packed = empty([(places * words * 32) / bits], { dtype: bits === 8 ? 'int8' : 'int16' }).keep();
    this.facts = empty([FACTS, places], { dtype: 'float32' }).keep();
  }

  /**
   * Fills in some rows, the first ones first.
   *
   * @param rows (B, D) float32 on the CPU
   * @param squares (B,) |x|², of the rows as they were before what made them wrong by `error` · |x|
   * @param first the place of the first of them
   */
  fill(rows: Tensor, squares: Tensor, error: number, first: number): void {
    attempt('packQuantized', () =>
      native.packQuantized(
        rows.handle,
        squares.handle,
        error,
        this.packed.handle,
        this.facts.handle,
        first,
        this.count,
      ),
    );
  }

  dispose(): void {
    this.packed.dispose();
    this.facts.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
