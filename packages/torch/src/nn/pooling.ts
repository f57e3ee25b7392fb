import {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  type MaxPool2dOptions,
  maxPool2d,
  type Size2d,
} from '../functional.js';
import type { Tensor } from '../tensor.js';
import { Module } from './module.js';

/** x (B, C, H, W) → (B, C, H', W'), the maximum of each window; see F.maxPool2d. */
export class MaxPool2d extends Module {
  constructor(
    readonly kernelSize: Size2d,
    readonly options: MaxPool2dOptions = {},
  ) {
    super();
  }

  forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }
}

/** x (B, C, H, W) → (B, C, ...outputSize), the mean of each cell of the grid. */
export class AdaptiveAvgPool2d extends Module {
  constructor(readonly outputSize: Size2d) {
    super();
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize);
  }
}

/** x (B, C, H, W) → (B, C, ...outputSize), the maximum of each cell of the grid. */
export class AdaptiveMaxPool2d extends Module {
  constructor(readonly outputSize: Size2d) {
    super();
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize);
  }
}
