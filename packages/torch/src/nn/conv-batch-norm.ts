import { autocastDtype, gradEnabled, noGrad } from '../autograd.js';
import { native } from '../binding.js';
import { castWeight, conv2d, pair } from '../functional.js';
import { scope } from '../scope.js';
import { aten, type Tensor } from '../tensor.js';
import { BatchNorm2d } from './batch-norm.js';
import type { Conv2d } from './conv.js';
import type { FoldedConvolution } from './folded-convolution.js';
import type { Module } from './module.js';

/**
 * Convolution, then BatchNorm. With fixed statistics (frozen, or outside training) the two are one convolution,
 *
 *     weight' = weight · γ / √(var + eps),   bias' = β + (bias − mean) · γ / √(var + eps),
 *
 * which spares a pass over the maps, and in training the copy of them that BatchNorm's gradient needs. The folding is
 * part of the graph, so weight, γ and β get the same gradients. Results differ from the two layers' by rounding.
 */
export function convBatchNorm(x: Tensor, convolution: Conv2d, norm: BatchNorm2d): Tensor {
  if (norm.training && !norm.frozen) {
    const maps = convolution.forward(x);
    const normalized = norm.forward(maps);
    maps.dispose();
    return normalized;
  }
  if (norm.keepsFolded && !gradEnabled()) {
    norm.folded ??= kept(scope(() => forLayoutOf(x, fold(convolution, norm), convolution)));
    return conv2d(x, norm.folded.weight, norm.folded.bias, convolution.options);
  }
  return scope(() => {
    const { weight, bias } = fold(convolution, norm);
    return conv2d(x, weight, bias, convolution.options);
  });
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

/** As oneDNN reads it where x is blocked, or as autocast does: it would be copied there for every batch. */
function forLayoutOf(x: Tensor, folded: FoldedConvolution, { options }: Conv2d): FoldedConvolution {
  const dtype = autocastDtype(x.device);
  if (dtype !== null && folded.weight.dtype !== 'float64')
    return { weight: castWeight(x, folded.weight), bias: folded.bias.to(dtype) };
  if (!native.isBlocked(x.handle)) return folded;
  const { padding = 0, stride = 1, dilation = 1, groups = 1 } = options;
  const weight = aten.mkldnn_reorder_conv2d_weight(
    aten.to_mkldnn(folded.weight),
    pair(padding),
    pair(stride),
    pair(dilation),
    groups,
  );
  return { weight, bias: folded.bias };
}

function kept({ weight, bias }: FoldedConvolution): FoldedConvolution {
  return { weight: weight.keep(), bias: bias.keep() };
}

/**
 * Lets the BatchNorms below `module` keep their folded convolutions from batch to batch, or (false) forget them. Kept
 * ones are used without gradients only. Nothing in the module may change meanwhile, nor the layout of what it is given.
 */
export function keepFolded(module: Module, keep: boolean): void {
  for (const [, each] of module.namedModules()) {
    if (!(each instanceof BatchNorm2d)) continue;
    each.keepsFolded = keep;
    each.folded?.weight.dispose();
    each.folded?.bias.dispose();
    each.folded = null;
  }
}
