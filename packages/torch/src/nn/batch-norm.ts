import { noGrad } from '../autograd.js';
import { isRecomputing } from '../checkpoint.js';
import { ones, zeros } from '../creation.js';
import type { DType } from '../dtype.js';
import { batchNorm } from '../functional.js';
import type { Tensor } from '../tensor.js';
import { Derived } from './derived.js';
import type { FoldedConvolution } from './folded-convolution.js';
import { buffer, Module, parameter } from './module.js';

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /**
   * The share of a batch's statistics in the running ones; null takes the mean over all batches so far.
   * Default 0.1.
   */
  momentum?: number | null;
  /** Whether there are a learned weight and bias. Default true. */
  affine?: boolean;
  /**
   * Keep the running statistics as they are, and normalise by them in training too. Weight and bias still
   * learn. This is how metric learning treats pretrained networks: its batches, few classes each, would move
   * them. Default false.
   */
  frozen?: boolean;
  dtype?: DType;
  device?: string;
}

/**
 * x (B, C, H, W) → (x − mean) / √(var + eps) · weight + bias for each channel; the statistics are the batch's in
 * training and the running ones otherwise. Ioffe and Szegedy, Batch Normalization, 2015.
 */
export class BatchNorm2d extends Module {
  /** (C) */
  weight: Tensor | null;
  /** (C) */
  bias: Tensor | null;
  /** (C) */
  runningMean: Tensor;
  /** (C), of the unbiased variances */
  runningVar: Tensor;
  /** A scalar, int64. */
  numBatchesTracked: Tensor;
  readonly eps: number;
  readonly momentum: number | null;
  /** As the option; may be set at any time. */
  frozen: boolean;
  /** @internal The convolution in front of it that does its work too. */
  readonly folded = new Derived<FoldedConvolution>();

  constructor(
    readonly numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = true, frozen = false, dtype, device }: BatchNormOptions = {},
  ) {
    super();
    this.eps = eps;
    this.momentum = momentum;
    this.frozen = frozen;
    this.weight = affine ? parameter(ones([numFeatures], { dtype, device })) : null;
    this.bias = affine ? parameter(zeros([numFeatures], { dtype, device })) : null;
    this.runningMean = buffer(zeros([numFeatures], { dtype, device }));
    this.runningVar = buffer(ones([numFeatures], { dtype, device }));
    // Files from before PyTorch 0.4.1 (torchvision's first weights) lack it.
    this.numBatchesTracked = buffer(zeros([], { dtype: 'int64', device }), { whenMissing: 0 });
  }

  /** @throws RangeError unless x is (B, C, H, W) */
  forward(x: Tensor): Tensor {
    if (x.ndim !== 4) {
      throw new RangeError(`BatchNorm2d: expected images (B, C, H, W), got shape [${x.shape.join(', ')}]`);
    }
    const { weight, bias, eps } = this;
    const training = this.training && !this.frozen;
    // A batch that goes through a second time, for its gradients, is in the running statistics already.
    const counts = training && !isRecomputing();
    if (counts) noGrad(() => this.numBatchesTracked.add_(1));
    const momentum = this.momentum ?? (counts ? 1 / this.numBatchesTracked.item() : 0);
    const [mean, variance] = training && !counts ? [null, null] : [this.runningMean, this.runningVar];
    return batchNorm(x, mean, variance, { weight, bias, training, momentum, eps });
  }
}
