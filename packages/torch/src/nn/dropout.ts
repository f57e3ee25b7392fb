import { dropout } from '../functional.js';
import type { Generator } from '../random.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

export interface DropoutOptions {
  /** Draws the mask; without one, the generator that manualSeed() sets. */
  generator?: Generator | null;
}

/**
 * In training zeroes each element with probability p (default 0.5) and divides the others by 1 − p; otherwise
 * returns x itself. A p outside of [0, 1] is a RangeError when it is used.
 */
export class Dropout extends Module {
  readonly generator: Generator | null;

  constructor(
    readonly p = 0.5,
    { generator = null }: DropoutOptions = {},
  ) {
    super();
    this.generator = generator;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training, generator: this.generator });
  }
}
