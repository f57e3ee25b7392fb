import { type Conv2dOptions, pair } from '../functional.js';
import { aten, type Tensor } from '../tensor.js';
import type { Zeros } from './conv-batch-norm-options.js';

// A kernel with a row of zeros in front reaches as far up as down: then the convolution adds zeros around maps itself, where more of them are below
// and right than above and left.

/** (O, I / groups, kH, kW) with as many rows and columns of zeros in front as are missing. */
export function grown(weight: Tensor, zeros: Zeros | null): Tensor {
  const [rows, columns] = zeros === null ? [0, 0] : [zeros.bottom - zeros.top, zeros.right - zeros.left];
  return rows + columns > 0 ? aten.constant_pad_nd(weight, [columns, 0, rows, 0]) : weight;
}

/** The zeros that a convolution with the grown kernel adds. */
export const paddingOfGrown = ({ padding = 0 }: Conv2dOptions, zeros: Zeros | null): [number, number] =>
  zeros === null ? pair(padding) : [zeros.bottom, zeros.right];
