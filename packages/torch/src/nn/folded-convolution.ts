import type { Tensor } from '../tensor.js';

/** The weight and bias of a convolution that does a BatchNorm's work too. */
export type FoldedConvolution = {
  /** (O, I / groups, kH, kW) */
  weight: Tensor;
  /** (O) */
  bias: Tensor;
};
