import { autocastDtype } from '../autograd.js';
import { native } from '../binding.js';
import { type Conv2dOptions, pair } from '../functional.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';
import { type ConvBatchNormOptions, limits, type Zeros } from './conv-batch-norm-options.js';
import { grown, paddingOfGrown } from './grown-kernel.js';

// Convolutions within autocast on a processor with instructions for bfloat16, without gradients, of weights that were folded and packed once
// (native/bfloat16-kept-convolution.cc): bias, shortcut and activation are part of them.

/** Whether it is one of them, or a linear layer. The weight is kept, so no recording is going on. */
export const suitsKeptBfloat16 = (
  x: Tensor,
  { weight, bias }: { weight: Tensor; bias: Tensor | null },
): boolean =>
  x.device === 'cpu' &&
  autocastDtype(x.device) === 'bfloat16' &&
  native.trainsInBfloat16() &&
  x.numel() > 0 &&
  (x.dtype === 'float32' || x.dtype === 'bfloat16') &&
  weight.dtype === 'float32' &&
  (bias === null || bias.dtype === 'float32');

/** (O, I / groups, kH, kW) → as keptBfloat16Convolution() takes it, with the same options and zeros. */
export function packedBfloat16(weight: Tensor, options: Conv2dOptions, zeros: Zeros | null = null): Tensor {
  const packed = new Tensor(native.packBfloat16Convolution(weight.handle, geometryOf(options, zeros)));
  // Without a kernel of our own it is libtorch's operator's, which adds as many zeros on both sides.
  return packed.dtype === 'bfloat16' && zeros !== null
    ? scope(() => packedBfloat16(grown(weight, zeros), options))
    : packed;
}

/** A convolution whose weight is packed. */
export interface PackedBfloat16 {
  weight: Tensor;
  /** (O) float32 */
  bias: Tensor | null;
  outputs: number;
  kernelSize: readonly [number, number];
  options: Conv2dOptions;
}

/** x (B, I, H, W) → (B, O, H', W') in bfloat16, channels_last. NaN stays NaN. @param added bfloat16 */
export function keptBfloat16Convolution(
  x: Tensor,
  { weight, bias, outputs, kernelSize, options }: PackedBfloat16,
  { zeros = null, added = null, activation = null }: ConvBatchNormOptions = {},
): Tensor {
  const isGrown = weight.dtype === 'bfloat16' && zeros !== null;
  const geometry = isGrown
    ? geometryOf({ ...options, padding: paddingOfGrown(options, zeros) }, null)
    : geometryOf(options, zeros);
  const [min, max] = limits[activation ?? 'none'];
  return new Tensor(
    native.convolveInBfloat16(
      x.handle,
      weight.handle,
      [outputs, ...(isGrown ? weight.shape.slice(2) : kernelSize)],
      bias?.handle ?? null,
      added?.handle ?? null,
      min,
      max,
      geometry,
    ),
  );
}

function geometryOf(
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: Conv2dOptions,
  zeros: Zeros | null,
): number[] {
  const [rows, columns] = pair(padding);
  const { top, bottom, left, right } = zeros ?? { top: rows, bottom: rows, left: columns, right: columns };
  return [...pair(stride), top, left, bottom, right, ...pair(dilation), groups];
}

/** x (..., I) → (..., O). @param weight of packedBfloat16() of (O, I, 1, 1) */
export function keptBfloat16Linear(x: Tensor, weight: Tensor, bias: Tensor | null, outputs: number): Tensor {
  return scope(() => {
    const maps = x.reshape([-1, x.shape.at(-1)!, 1, 1]);
    const rows = keptBfloat16Convolution(maps, { weight, bias, outputs, kernelSize: [1, 1], options: {} });
    return rows.reshape([...x.shape.slice(0, -1), outputs]);
  });
}
