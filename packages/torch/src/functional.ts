import { autocastDtype, gradEnabled, noGrad } from './autograd.js';
import { bernoulli } from './bernoulli.js';
import { native } from './binding.js';
import { depthwiseConvolution, suitsDepthwise } from './depthwise.js';
import { hasPasses } from './own-passes.js';
import type { Generator } from './random.js';
import { isRecording } from './recording.js';
import { relu6 as clippedAt6 } from './relu6.js';
import { scope } from './scope.js';
import { aten, Tensor } from './tensor.js';

// PyTorch's torch.nn.functional, as far as it is used: functions without state. Exported from the package as `F`.

/** min(max(x, 0), 6). */
export const relu6: (x: Tensor) => Tensor = clippedAt6;

/** One number for both sides of an image, or [vertical, horizontal]. */
export type Size2d = number | readonly [number, number];

/** [vertical, horizontal] of a size given as one number or two. */
export function pair(size: Size2d): [number, number] {
  return typeof size === 'number' ? [size, size] : [size[0], size[1]];
}

/** x (..., I), weight (O, I), bias (O) → x·weightᵀ + bias (..., O), as F.linear. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  return aten.linear(x, weight, bias);
}

export interface Conv2dOptions {
  /** Pixels from one window to the next; default 1. */
  stride?: Size2d;
  /** Zeros added on each side; default 0. */
  padding?: Size2d;
  /** Pixels from one element of the kernel to the next; default 1. */
  dilation?: Size2d;
  /** Parts of the channels that are convolved apart; default 1. */
  groups?: number;
}

/**
 * A convolution's weight (O, I / groups, kH, kW) as autocast computes with it on x's device: cast, and channels_last, which
 * its output takes over; the weight itself where autocast is off. Both in one pass, and gradients go back through it.
 */
export function castWeight(x: Tensor, weight: Tensor): Tensor {
  const dtype = autocastDtype(x.device);
  if (dtype === null || weight.dtype === 'float64') return weight;
  return aten.to$dtype(weight, dtype, false, false, 'channels_last');
}

/** x (B, I, H, W), weight (O, I / groups, kH, kW), bias (O) → (B, O, H', W'). */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: Conv2dOptions = {},
): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const [strides, zeros, dilations] = [pair(stride), pair(padding), pair(dilation)];
  if (groups > 1 && suitsDepthwise(x, weight, bias, { strides, groups }))
    return depthwiseConvolution(x, weight, bias, { strides, zeros, dilations });
  return scope(() => aten.conv2d(x, castWeight(x, weight), bias, strides, zeros, dilations, groups));
}

export interface BatchNormOptions {
  /** (C), γ; default none. */
  weight?: Tensor | null;
  /** (C), β; default none. */
  bias?: Tensor | null;
  /** Normalise by the batch's own statistics, and move the running ones towards them. Default false. */
  training?: boolean;
  /** The share of the batch's statistics in the new running ones. Default 0.1. */
  momentum?: number;
  /** Added to the variance; default 1e-5. */
  eps?: number;
}

/**
 * x (B, C, ...), everything else (C): (x − mean) / √(var + eps) · weight + bias for each channel. In training
 * the running statistics are changed in place; null: none are kept.
 * @throws RangeError in training for one value of a channel, which has no variance, as PyTorch does
 */
export function batchNorm(
  x: Tensor,
  runningMean: Tensor | null,
  runningVar: Tensor | null,
  { weight = null, bias = null, training = false, momentum = 0.1, eps = 1e-5 }: BatchNormOptions = {},
): Tensor {
  if (training && x.numel() === x.size(1)) {
    throw new RangeError(
      `batchNorm: expected more than one value of a channel to train with, got the shape [${x.shape.join(', ')}]`,
    );
  }
  return aten.batch_norm(x, weight, bias, runningMean, runningVar, training, momentum, eps, true);
}

/** max(x, 0) of each element. */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** x · Φ(x), or with approximate 'tanh' its approximation by a tanh. */
export function gelu(x: Tensor, { approximate = 'none' }: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  const isOurs = approximate === 'none' && x.device === 'cpu' && x.dtype === 'bfloat16' && !isRecording();
  return isOurs && native.trainsInBfloat16()
    ? new Tensor(native.bfloat16Gelu(x.handle))
    : aten.gelu(x, approximate);
}

/**
 * gelu() but for its last bits (3e-7 of x), by a kernel of our own where neither a gradient nor a recording needs the operator: libtorch 1.13's calls
 * the C library for each number.
 */
export function fastGelu(x: Tensor): Tensor {
  const isPlain = x.device === 'cpu' && x.dtype === 'float32' && !gradEnabled() && !isRecording();
  return isPlain ? new Tensor(native.gelu(x.handle)) : gelu(x);
}

/** x · σ(x). */
export function silu(x: Tensor): Tensor {
  return aten.silu(x);
}

export interface LayerNormOptions {
  /** Of the shape that is normalised over, γ; default none. */
  weight?: Tensor | null;
  /** Of the same shape, β; default none. */
  bias?: Tensor | null;
  /** Added to the variance; default 1e-5. */
  eps?: number;
}

/**
 * x (..., ...shape): (x − mean) / √(var + eps) · weight + bias over the last dimensions. Of half precision beside weights of
 * single precision, as within autocast, it is computed and given in theirs: libtorch 1.13 takes no two dtypes.
 */
export function layerNorm(
  x: Tensor,
  shape: readonly number[],
  { weight = null, bias = null, eps = 1e-5 }: LayerNormOptions = {},
): Tensor {
  if (weight === null || weight.dtype === x.dtype) return aten.layer_norm(x, shape, weight, bias, eps);
  return scope(() => aten.layer_norm(x.to(weight.dtype), shape, weight, bias, eps));
}

export interface AttentionOptions {
  /** Added to the scores, of a shape that expands to (..., N, M); default none. */
  attnMask?: Tensor | null;
}

type FusedAttention = (q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null) => Tensor;

/**
 * softmax(q kᵀ / √d + mask) v: q (..., N, d), k (..., M, d), v (..., M, e) → (..., N, e). In one operator where libtorch has
 * it (from 2.0 on), which does not keep the scores; in a chain of them where it has not.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { attnMask = null }: AttentionOptions = {},
): Tensor {
  if (native.findOperator('aten::scaled_dot_product_attention', '') !== null) {
    const { scaled_dot_product_attention: fused } = aten as unknown as Record<string, FusedAttention>;
    return (fused as FusedAttention)(q, k, v, attnMask);
  }
  return scope(() => {
    const scores = q.mul((q.shape.at(-1) as number) ** -0.5).matmul(k.transpose(-2, -1));
    return softmax(attnMask === null ? scores : scores.add(attnMask), -1).matmul(v);
  });
}

/**
 * Attention of tokens among themselves: qkv (B, N, 3 · heads · d), queries, keys and values of all heads one behind the other, → (B, N, heads · d).
 * @throws RangeError if they do not divide into these heads
 */
export function selfAttention(qkv: Tensor, heads: number): Tensor {
  const [batch = 0, tokens = 0, all = 0] = qkv.shape;
  const width = all / 3;
  const size = width / heads;
  if (qkv.ndim !== 3 || !Number.isInteger(size)) {
    throw new RangeError(
      `selfAttention: expected (B, N, 3 · ${heads} · d), got the shape [${qkv.shape.join(', ')}]`,
    );
  }
  const isOurs = qkv.device === 'cpu' && qkv.dtype === 'bfloat16' && size % 32 === 0 && qkv.numel() > 0;
  if (isOurs && !isRecording() && native.trainsInBfloat16())
    return new Tensor(native.bfloat16Attention(qkv.handle, heads));
  return scope(() => {
    const part = (i: number) =>
      qkv
        .narrow(-1, i * width, width)
        .reshape([batch, tokens, heads, size])
        .transpose(1, 2);
    return scaledDotProductAttention(part(0), part(1), part(2))
      .transpose(1, 2)
      .reshape([batch, tokens, width]);
  });
}

export interface MaxPool2dOptions {
  /** The kernel's size when left out. */
  stride?: Size2d;
  /** -∞ added on each side; default 0. */
  padding?: Size2d;
  /** Pixels from one element of the window to the next; default 1. */
  dilation?: Size2d;
  /** Let a window reach over the border rather than leave a rest out. Default false. */
  ceilMode?: boolean;
}

/** x (B, C, H, W) → (B, C, H', W'), the maximum of each window. */
export function maxPool2d(x: Tensor, kernelSize: Size2d, options: MaxPool2dOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = options;
  return aten.max_pool2d(x, pair(kernelSize), pair(stride), pair(padding), pair(dilation), ceilMode);
}

/** x (B, C, H, W) → (B, C, ...outputSize), the mean of each cell of the grid. */
export function adaptiveAvgPool2d(x: Tensor, outputSize: Size2d): Tensor {
  return aten.adaptive_avg_pool2d(x, pair(outputSize));
}

/** x (B, C, H, W) → (B, C, ...outputSize), the maximum of each cell of the grid. */
export function adaptiveMaxPool2d(x: Tensor, outputSize: Size2d): Tensor {
  const [maxima, indices] = aten.adaptive_max_pool2d(x, pair(outputSize));
  indices.dispose();
  return maxima;
}

export interface DropoutOptions {
  /** The probability that an element becomes zero; default 0.5. */
  p?: number;
  /** Outside training the input is returned as it is; default true. */
  training?: boolean;
  /** Draws the mask; without one, the generator that manualSeed() sets. */
  generator?: Generator | null;
}

/**
 * Zeroes each element with probability p and divides the others by 1 − p, so that the expectation stays.
 * Draws as PyTorch's dropout does on the CPU; with p = 0 or outside training returns x itself.
 *
 * @throws RangeError unless p is in [0, 1]
 */
export function dropout(
  x: Tensor,
  { p = 0.5, training = true, generator = null }: DropoutOptions = {},
): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`dropout: p has to be a probability from 0 to 1, not ${p}`);
  if (!training || p === 0) return x;
  return scope(() => {
    const noise = generator?.share
      ? bernoulli(x.shape, 1 - p, generator, x)
      : noGrad(() => aten.bernoulli_$float(aten.empty_like(x), 1 - p, generator));
    // At p = 1 the division would be 0 / 0.
    return x.mul(p === 1 ? noise : noise.div_(1 - p));
  });
}

export interface NormalizeOptions {
  /** The order of the norm; default 2. */
  p?: number;
  /** Default 1. */
  dim?: number;
  /** The smallest norm to divide by, so that a zero vector stays zero; default 1e-12. */
  eps?: number;
}

/**
 * x / max(‖x‖ₚ, eps) along `dim`, of the shape and dtype of x, as F.normalize. float16 and bfloat16 are normalised in
 * float32 and rounded at the end: in float16 eps is 0, so that a zero vector would become NaN, and a norm beyond 65,504
 * infinite.
 */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  const { p = 2, dim = 1, eps = 1e-12 } = options;
  return scope(() => {
    if (x.dtype === 'float16' || x.dtype === 'bfloat16') {
      return normalize(x.to({ dtype: 'float32' }), options).to({ dtype: x.dtype });
    }
    if (p === 2 && (dim === -1 || dim === x.ndim - 1) && trainsOnCpu(x))
      return new Tensor(native.normalizeRows(x.contiguous().handle, eps));
    return x.div(x.norm(p, dim, true).clamp({ min: eps }).expand(x.shape));
  });
}

/** Whether a gradient of x is to be had, for which there is one pass of our own. */
const trainsOnCpu = (x: Tensor) => gradEnabled() && x.requiresGrad && hasPasses(x);

export interface CrossEntropyOptions {
  /** The share of the target that is spread evenly over all classes, 0…1; default 0. */
  labelSmoothing?: number;
  /** (C), a factor for each class; default 1. */
  weight?: Tensor | null;
}

/**
 * logits (B, C), labels (B) int64 in 0..C-1 → the mean of −log softmax(logits)[label], a scalar; rows
 * labelled -100 do not count, as in PyTorch's cross_entropy. With `weight` the mean is weighted by it.
 * @throws TorchError, on the CPU, for a label outside
 */
export function crossEntropy(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, weight = null }: CrossEntropyOptions = {},
): Tensor {
  const mean = 1; // at::Reduction::Mean
  const ignoreIndex = -100; // PyTorch's default: no label
  return aten.cross_entropy_loss(logits, labels, weight, mean, ignoreIndex, labelSmoothing);
}

/** log softmax(x) along `dim`, without underflow. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return aten.log_softmax$int(x, dim, null);
}

/** exp(x) / Σ exp(x) along `dim`. */
export function softmax(x: Tensor, dim: number): Tensor {
  return aten.softmax$int(x, dim, null);
}

/**
 * The cosine of the angle between a and b along `dim`; eps is the smallest norm to divide by. Without `dim`
 * in its shape.
 */
export function cosineSimilarity(a: Tensor, b: Tensor, { dim = 1, eps = 1e-8 } = {}): Tensor {
  return aten.cosine_similarity(a, b, dim, eps);
}

/**
 * theta (B, 2, 3), size [B, C, H, W] → grid (B, H, W, 2): for each output pixel the (x, y) to read, in -1..1.
 * With alignCorners -1 and 1 are the centres of the corner pixels, otherwise the image's edges.
 */
export function affineGrid(theta: Tensor, size: readonly number[], { alignCorners = false } = {}): Tensor {
  return aten.affine_grid_generator(theta, [...size], alignCorners);
}

export interface GridSampleOptions {
  /** Default 'bilinear'. */
  mode?: 'bilinear' | 'nearest' | 'bicubic';
  /** What is read outside the image; default 'zeros'. */
  paddingMode?: 'zeros' | 'border' | 'reflection';
  /** -1 and 1 are the centres of the corner pixels, instead of the image's edges; default false. */
  alignCorners?: boolean;
}

/** x (B, C, H, W), grid (B, H', W', 2) of (x, y) in -1..1 → (B, C, H', W'). */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const { mode = 'bilinear', paddingMode = 'zeros', alignCorners = false } = options;
  const modes = { bilinear: 0, nearest: 1, bicubic: 2 };
  const paddings = { zeros: 0, border: 1, reflection: 2 };
  return aten.grid_sampler(x, grid, modes[mode], paddings[paddingMode], alignCorners);
}

export interface InterpolateOptions {
  /** The output's height and width; or give scaleFactor. */
  size?: Size2d;
  /** Output size / input size. */
  scaleFactor?: Size2d;
  /** Default 'nearest'. */
  mode?: 'nearest' | 'bilinear' | 'bicubic';
  /** For bilinear and bicubic: keep the centres of the corner pixels in place; default false. */
  alignCorners?: boolean;
  /**
   * For bilinear and bicubic: smooth first where it shrinks. Bicubic then has another kernel where it grows, too (a -0.5
   * instead of -0.75). Default false.
   */
  antialias?: boolean;
}

/**
 * Resizes x (B, C, H, W) as PyTorch's interpolate does.
 *
 * @throws TypeError for both `size` and `scaleFactor`, or neither, or `antialias` with nearest
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const { size, scaleFactor, mode = 'nearest', alignCorners = false, antialias = false } = options;
  if ((size === undefined) === (scaleFactor === undefined)) {
    throw new TypeError('interpolate: give either size or scaleFactor');
  }
  const sizes = size === undefined ? null : pair(size);
  const factors = scaleFactor === undefined ? null : pair(scaleFactor);
  switch (mode) {
    case 'nearest':
      if (antialias) throw new TypeError('interpolate: antialias is for bilinear and bicubic');
      return aten.upsample_nearest2d$vec(x, sizes, factors);
    case 'bilinear':
      if (antialias) return aten._upsample_bilinear2d_aa$vec(x, sizes, alignCorners, factors);
      return aten.upsample_bilinear2d$vec(x, sizes, alignCorners, factors);
    case 'bicubic':
      if (antialias) return aten._upsample_bicubic2d_aa$vec(x, sizes, alignCorners, factors);
      return aten.upsample_bicubic2d$vec(x, sizes, alignCorners, factors);
  }
}
