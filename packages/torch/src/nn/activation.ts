import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

export interface ReLUOptions {
  /** Overwrite the input, to save memory. Default false. */
  inplace?: boolean;
}

/** max(x, 0). */
export class ReLU extends Module {
  readonly inplace: boolean;

  constructor({ inplace = false }: ReLUOptions = {}) {
    super();
    this.inplace = inplace;
  }

  forward(x: Tensor): Tensor {
    return this.inplace ? x.relu_() : x.relu();
  }
}
