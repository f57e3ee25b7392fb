import { autocastDtype } from '../autograd.js';
import { native } from '../binding.js';
import { pair } from '../functional.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';
import type { Conv2d } from './conv.js';
import { type ConvBatchNormOptions, limits } from './conv-batch-norm-options.js';
import type { FoldedConvolution } from './folded-convolution.js';

// Convolutions by kernels of our own (native/convolution.cc), without gradients, in channels_last. libtorch describes each
// to oneDNN anew at every call, and has an operator more for the shortcut's sum and for the activation.

const isDepthwise = ({ options, inChannels, outChannels }: Conv2d) =>
  options.groups === inChannels && inChannels === outChannels && inChannels > 1;

/** Whether there is a kernel for it: of all channels, or of each by itself, of 3 or 5 pixels a side. */
export function suitsPacked(x: Tensor, convolution: Conv2d): boolean {
  const { options, kernelSize, outChannels, weight } = convolution;
  const { stride = 1, dilation = 1, groups = 1 } = options;
  const [height, width] = kernelSize;
  const [down, right] = pair(stride);
  const known = height === width && (height === 3 || height === 5) && down === right && down <= 2;
  return (
    (groups === 1 || (isDepthwise(convolution) && known)) &&
    outChannels % 8 === 0 &&
    pair(dilation).every((step) => step === 1) &&
    x.device === 'cpu' &&
    x.dtype === 'float32' &&
    weight.device === 'cpu' &&
    weight.dtype === 'float32' &&
    autocastDtype(x.device) === null &&
    !native.isBlocked(x.handle)
  );
}

/** The weight in the order in which the kernels read it. */
export function packed({ weight, bias }: FoldedConvolution, convolution: Conv2d): FoldedConvolution {
  return { weight: new Tensor(native.packConvolution(weight.handle, isDepthwise(convolution))), bias };
}

/** x (B, I, H, W) → (B, O, H', W'), channels_last. NaN stays NaN. */
export function packedConvolution(
  x: Tensor,
  { weight, bias }: FoldedConvolution,
  { options }: Conv2d,
  { zeros, added = null, activation }: ConvBatchNormOptions,
): Tensor {
  const [rows, columns] = pair(options.padding ?? 0);
  const { top, bottom, left, right } = zeros ?? { top: rows, bottom: rows, left: columns, right: columns };
  const geometry = [...pair(options.stride ?? 1), top, bottom, left, right];
  const [min, max] = limits[activation ?? 'none'];
  return scope(
    () =>
      new Tensor(
        native.convolve(x.handle, weight.handle, bias.handle, added?.handle ?? null, geometry, min, max),
      ),
  );
}
