import { autocastDtype, gradEnabled } from '../autograd.js';
import { native } from '../binding.js';
import { type Conv2dOptions, pair } from '../functional.js';
import { isRecording } from '../recording.js';
import { Tensor } from '../tensor.js';
import type { BatchNorm2d } from './batch-norm.js';

// Convolutions of training within autocast on a processor with instructions for bfloat16 (native/bfloat16-convolution.cc): the folding of a frozen
// BatchNorm, the shortcut's sum and ReLU are part of them, and the weights' gradients are summed in float32.

/** A Conv2d's, as much as is asked of it. */
interface Convolution {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly options: Conv2dOptions;
}

/** Whether it is one of them. */
export function suitsBfloat16Convolution(x: Tensor, { weight, bias }: Convolution): boolean {
  return (
    gradEnabled() &&
    x.device === 'cpu' &&
    autocastDtype(x.device) === 'bfloat16' &&
    !isRecording() &&
    native.trainsInBfloat16() &&
    weight.size(0) % 32 === 0 &&
    x.numel() > 0 &&
    (x.dtype === 'float32' || x.dtype === 'bfloat16') &&
    weight.dtype === 'float32' &&
    (bias === null || bias.dtype === 'float32')
  );
}

interface Around {
  /** Of fixed statistics. */
  norm?: BatchNorm2d | null;
  /** bfloat16, of the output's shape. */
  added?: Tensor | null;
  relu?: boolean;
}

/** x (B, I, H, W) → (B, O, H', W') in bfloat16, channels_last. NaN stays NaN. */
export function bfloat16Convolution(
  x: Tensor,
  { weight, bias, options }: Convolution,
  { norm = null, added = null, relu = false }: Around = {},
): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return new Tensor(
    native.bfloat16Convolution(
      x.handle,
      weight.handle,
      bias?.handle ?? null,
      norm?.weight?.handle ?? null,
      norm?.bias?.handle ?? null,
      norm?.runningMean.handle ?? null,
      norm?.runningVar.handle ?? null,
      norm?.eps ?? 0,
      added?.handle ?? null,
      relu,
      [...pair(stride), ...pair(padding), ...pair(dilation), groups],
    ),
  );
}
