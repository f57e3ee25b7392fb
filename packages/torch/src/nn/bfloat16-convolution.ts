import { native } from '../binding.js';
import { type Conv2dOptions, pair } from '../functional.js';
import { isRecording } from '../recording.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';
import type { BatchNorm2d } from './batch-norm.js';
import { suitsKeptBfloat16 } from './kept-bfloat16-convolution.js';

// Convolutions of training within autocast on a processor with instructions for bfloat16 (native/bfloat16-convolution.cc): the folding of a frozen
// BatchNorm, the shortcut's sum and ReLU are part of them, and the weights' gradients are summed in float32.

/** A Conv2d's, as much as is asked of it. */
interface Convolution {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly options: Conv2dOptions;
}

/** Whether it is one of them, or a linear layer, whose weight is (O, I). */
export function suitsBfloat16Convolution(
  x: Tensor,
  { weight, bias }: Pick<Convolution, 'weight' | 'bias'>,
): boolean {
  return !isRecording() && weight.size(0) % 32 === 0 && suitsKeptBfloat16(x, { weight, bias });
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
      [...pair(stride), ...pair(padding), ...pair(padding), ...pair(dilation), groups],
    ),
  );
}

/** x (..., I), weight (O, I), bias (O) → (..., O) in bfloat16: a convolution of one pixel's windows. */
export function bfloat16Linear(x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  const [outputs = 0, inputs = 0] = weight.shape;
  return scope(() => {
    const rows = bfloat16Convolution(x.reshape([-1, inputs, 1, 1]), {
      weight: weight.view([outputs, inputs, 1, 1]),
      bias,
      options: {},
    });
    return rows.reshape([...x.shape.slice(0, -1), outputs]);
  });
}
