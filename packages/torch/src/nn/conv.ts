import { autocastDtype } from '../autograd.js';
import { empty } from '../creation.js';
import type { DType } from '../dtype.js';
import {
  type Conv2dOptions as ConvolutionOptions,
  castWeight,
  conv2d,
  pair,
  type Size2d,
} from '../functional.js';
import type { Tensor } from '../tensor.js';
import { bfloat16Convolution, suitsBfloat16Convolution } from './bfloat16-convolution.js';
import { Derived } from './derived.js';
import { default_, type InitOptions } from './init.js';
import { Module, parameter } from './module.js';

export interface Conv2dOptions extends ConvolutionOptions, InitOptions {
  /** Whether a learned number is added to each channel. Default true. */
  bias?: boolean;
  /** Leave the weights as they lie in memory, for a caller who fills all of them. Default false. */
  skipInit?: boolean | undefined;
  dtype?: DType;
  device?: string;
}

/**
 * x (B, inChannels, H, W) → (B, outChannels, H', W'), as torch.nn.Conv2d, from whose default distribution the
 * weights are drawn.
 */
export class Conv2d extends Module {
  /** (outChannels, inChannels / groups, kH, kW) */
  weight: Tensor;
  /** (outChannels) */
  bias: Tensor | null;
  readonly kernelSize: [number, number];
  readonly options: ConvolutionOptions;
  /** @internal The weight as autocast computes with it. */
  readonly cast = new Derived<Tensor>();

  /** @throws RangeError if `groups` does not divide the channels */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernelSize: Size2d,
    {
      bias = true,
      generator = null,
      skipInit = false,
      dtype,
      device,
      stride,
      padding,
      dilation,
      groups = 1,
    }: Conv2dOptions = {},
  ) {
    super();
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new RangeError(
        `Conv2d: ${inChannels} and ${outChannels} channels do not divide into ${groups} groups`,
      );
    }
    this.kernelSize = pair(kernelSize);
    this.options = { stride, padding, dilation, groups };
    this.weight = parameter(empty([outChannels, inChannels / groups, ...this.kernelSize], { dtype, device }));
    this.bias = bias ? parameter(empty([outChannels], { dtype, device })) : null;
    if (!skipInit) default_(this.weight, this.bias, { generator });
  }

  forward(x: Tensor): Tensor {
    const { weight, cast } = this;
    if (!cast.isWanted && suitsBfloat16Convolution(x, this)) return bfloat16Convolution(x, this);
    const dtype = cast.isWanted && weight.dtype !== 'float64' ? autocastDtype(x.device) : null;
    const used = dtype === null ? weight : cast.of([weight], dtype, () => castWeight(x, weight));
    return conv2d(x, used, this.bias, this.options);
  }
}
