import { autocastDtype, gradEnabled } from './autograd.js';
import { native } from './binding.js';
import { isRecording } from './recording.js';
import { Tensor } from './tensor.js';

// Convolutions of each channel by itself in training, by native/depthwise-gradients.cc: libtorch's, but for the gradients that take oneDNN 5 to 30
// times as long as their arithmetic.

/**
 * Whether each channel of x (B, C, H, W) has a kernel of its own, and some of those gradients are wanted: of kernels larger than 3×3, or in bfloat16
 * under a stride.
 */
export function suitsDepthwise(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  { strides, groups }: { strides: readonly number[]; groups: number },
): boolean {
  const cast = autocastDtype(x.device);
  const isHalf = cast === 'bfloat16';
  if (x.device !== 'cpu' || x.ndim !== 4 || (cast !== null && !isHalf) || isRecording()) return false;
  const isLarge = Math.max(...weight.shape.slice(2)) > 3;
  return (
    (isLarge || (isHalf && Math.max(...strides) > 1)) &&
    (x.dtype === 'float32' || (isHalf && x.dtype === 'bfloat16')) &&
    [weight, bias].every((each) => each === null || each.dtype === 'float32') &&
    groups % 8 === 0 &&
    x.size(1) === groups &&
    weight.size(0) === groups &&
    gradEnabled() &&
    (x.requiresGrad || weight.requiresGrad) &&
    !native.isBlocked(x.handle)
  );
}

/** x (B, C, H, W), weight (C, 1, kH, kW), bias (C) → (B, C, H', W'), in bfloat16 within its autocast. */
export function depthwiseConvolution(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  {
    strides,
    zeros,
    dilations,
  }: { strides: readonly number[]; zeros: readonly number[]; dilations: readonly number[] },
): Tensor {
  return new Tensor(
    native.depthwiseConvolution(
      ...([x.handle, weight.handle, bias?.handle ?? null] as const),
      ...([strides, zeros, dilations, autocastDtype(x.device) !== null] as const),
    ),
  );
}
