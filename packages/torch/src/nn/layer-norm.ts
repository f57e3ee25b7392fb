import { empty } from '../creation.js';
import type { DType } from '../dtype.js';
import { layerNorm } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { constant_ } from './init.js';
import { Module, parameter } from './module.js';

export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** Whether a learned factor and summand follow. Default true. */
  elementwiseAffine?: boolean;
  dtype?: DType;
  device?: string;
}

/** x (..., ...shape) of mean 0 and variance 1 over the last dimensions, as torch.nn.LayerNorm. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  /** (...shape), 1 at first. */
  weight: Tensor | null;
  /** (...shape), 0 at first. */
  bias: Tensor | null;

  constructor(
    normalizedShape: number | readonly number[],
    { eps = 1e-5, elementwiseAffine = true, dtype, device }: LayerNormOptions = {},
  ) {
    super();
    const shape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape];
    this.normalizedShape = shape;
    this.eps = eps;
    const filled = (value: number) => constant_(parameter(empty(shape, { dtype, device })), value);
    this.weight = elementwiseAffine ? filled(1) : null;
    this.bias = elementwiseAffine ? filled(0) : null;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}
