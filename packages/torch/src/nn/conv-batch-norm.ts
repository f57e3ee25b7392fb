import { autocastDtype, noGrad } from '../autograd.js';
import { native } from '../binding.js';
import { type Conv2dOptions, castWeight, conv2d, pair } from '../functional.js';
import { relu6InPlace } from '../relu6.js';
import { scope } from '../scope.js';
import { aten, type Tensor } from '../tensor.js';
import type { BatchNorm2d } from './batch-norm.js';
import { bfloat16Convolution, suitsBfloat16Convolution } from './bfloat16-convolution.js';
import type { Conv2d } from './conv.js';
import type { ConvBatchNormOptions, Zeros } from './conv-batch-norm-options.js';
import type { FoldedConvolution } from './folded-convolution.js';
import { grown, paddingOfGrown } from './grown-kernel.js';
import { keptBfloat16Convolution, packedBfloat16, suitsKeptBfloat16 } from './kept-bfloat16-convolution.js';
import { packed, packedConvolution, suitsPacked } from './packed-convolution.js';

/**
 * Convolution, then BatchNorm. With fixed statistics (frozen, or outside training) the two are one convolution,
 *
 *     weight' = weight · γ / √(var + eps),   bias' = β + (bias − mean) · γ / √(var + eps),
 *
 * which spares a pass over the maps, and in training the copy of them that BatchNorm's gradient needs. The folding is
 * part of the graph, so weight, γ and β get the same gradients. Results differ from the two layers' by rounding.
 */
export function convBatchNorm(
  x: Tensor,
  convolution: Conv2d,
  norm: BatchNorm2d,
  { zeros = null, added = null, activation = null }: ConvBatchNormOptions = {},
): Tensor {
  const isFixed = !norm.training || norm.frozen;
  const keeps = norm.folded.isWanted && isFixed;
  if (keeps && suitsPacked(x, convolution)) {
    const folded = norm.folded.of(sourcesOf(convolution, norm), 'packed', () =>
      packed(fold(convolution, norm), convolution),
    );
    return packedConvolution(x, folded, convolution, { zeros, added, activation });
  }
  if (keeps && suitsKeptBfloat16(x, convolution)) {
    return byKeptBfloat16(x, convolution, norm, { zeros, added, activation });
  }
  if (isFixed && zeros === null && activation !== 'relu6' && suitsBfloat16Convolution(x, convolution)) {
    return inBfloat16(x, convolution, norm, { added, activation });
  }
  return scope(() => {
    const maps = keeps ? byKept(x, convolution, norm, zeros) : byOperators(x, convolution, norm, zeros);
    return activated(added === null ? maps : maps.add_(added), activation);
  });
}

function inBfloat16(
  x: Tensor,
  convolution: Conv2d,
  norm: BatchNorm2d,
  { added = null, activation = null }: ConvBatchNormOptions,
): Tensor {
  return withAdded(added, activation, (fitting, own) =>
    bfloat16Convolution(x, convolution, { norm, added: fitting, relu: own !== null }),
  );
}

function byKeptBfloat16(
  x: Tensor,
  convolution: Conv2d,
  norm: BatchNorm2d,
  { zeros = null, added = null, activation = null }: ConvBatchNormOptions,
): Tensor {
  const { options, outChannels, kernelSize } = convolution;
  const form = `bfloat16 kernels ${Object.values(zeros ?? {})}`;
  const folded = norm.folded.of(sourcesOf(convolution, norm), form, () => {
    const { weight, bias } = fold(convolution, norm);
    return { weight: packedBfloat16(weight, options, zeros), bias };
  });
  const packedOne = { ...folded, outputs: outChannels, kernelSize, options };
  return withAdded(added, activation, (fitting, own) =>
    keptBfloat16Convolution(x, packedOne, { zeros, added: fitting, activation: own }),
  );
}

/** What is added is part of the convolution if it is bfloat16; a sum with float32 is float32, as PyTorch's is. */
function withAdded(
  added: Tensor | null,
  activation: Activation,
  convolve: (added: Tensor | null, activation: Activation) => Tensor,
): Tensor {
  if (added === null || added.dtype === 'bfloat16') return convolve(added, activation);
  return scope(() => activated(convolve(null, null).add(added), activation));
}

type Activation = NonNullable<ConvBatchNormOptions['activation']> | null;

/** In place where its gradient does not need what it was given. */
function activated(sum: Tensor, activation: Activation): Tensor {
  if (activation === null) return sum;
  return activation === 'relu' ? sum.relu_() : relu6InPlace(sum);
}

function byOperators(x: Tensor, convolution: Conv2d, norm: BatchNorm2d, zeros: Zeros | null): Tensor {
  return scope(() => {
    const { top = 0, bottom = 0, left = 0, right = 0 } = zeros ?? {};
    const padded = zeros === null ? x : aten.constant_pad_nd(x, [left, right, top, bottom]);
    if (norm.training && !norm.frozen) return norm.forward(convolution.forward(padded));
    const { weight, bias } = fold(convolution, norm);
    return conv2d(padded, weight, bias, convolution.options);
  });
}

function byKept(x: Tensor, convolution: Conv2d, norm: BatchNorm2d, zeros: Zeros | null): Tensor {
  const options = { ...convolution.options, padding: paddingOfGrown(convolution.options, zeros) };
  const layout = layoutFor(x);
  const form = `${layout} ${Object.values(zeros ?? {})}`;
  const { weight, bias } = norm.folded.of(sourcesOf(convolution, norm), form, () => {
    const folded = fold(convolution, norm);
    return inLayout(layout, x, { weight: grown(folded.weight, zeros), bias: folded.bias }, options);
  });
  return conv2d(x, weight, bias, options);
}

/** The count of batches among them: statistics are moved by an operator that does not say that it changes them. */
const sourcesOf = (convolution: Conv2d, norm: BatchNorm2d) => [
  ...[convolution.weight, convolution.bias, norm.weight, norm.bias],
  ...[norm.runningMean, norm.runningVar, norm.numBatchesTracked],
];

/**
 * What is kept is as its convolution computes with it: as autocast casts it; in oneDNN's blocked layout; else on a CPU channels_last,
 * which its output takes over, and those that follow, so that no convolution copies its maps into a layout of its own and back.
 */
function layoutFor(x: Tensor): string {
  const cast = autocastDtype(x.device);
  if (cast !== null) return cast;
  if (native.isBlocked(x.handle)) return 'blocked';
  return x.device === 'cpu' && x.dtype === 'float32' ? 'channels_last' : 'plain';
}

function inLayout(
  layout: string,
  x: Tensor,
  { weight, bias }: FoldedConvolution,
  { padding = 0, stride = 1, dilation = 1, groups = 1 }: Conv2dOptions,
): FoldedConvolution {
  const dtype = weight.dtype === 'float64' ? null : autocastDtype(x.device);
  if (dtype !== null) return { weight: castWeight(x, weight), bias: bias.to(dtype) };
  if (layout === 'channels_last') return { weight: aten.contiguous(weight, layout), bias };
  if (layout !== 'blocked') return { weight, bias };
  const blocked = aten.to_mkldnn(weight);
  return {
    weight: aten.mkldnn_reorder_conv2d_weight(blocked, pair(padding), pair(stride), pair(dilation), groups),
    bias,
  };
}

function fold(convolution: Conv2d, norm: BatchNorm2d): FoldedConvolution {
  return scope(() => {
    const root = noGrad(() => norm.runningVar.add(norm.eps).rsqrt());
    const scale = norm.weight === null ? root : norm.weight.mul(root);
    const shift = convolution.bias === null ? norm.runningMean.neg() : convolution.bias.sub(norm.runningMean);
    const bias = norm.bias === null ? shift.mul(scale) : aten.addcmul(norm.bias, shift, scale);
    return { weight: convolution.weight.mul(scale.view([-1, 1, 1, 1])), bias };
  });
}
