import { empty } from '../creation.js';
import type { DType } from '../dtype.js';
import { linear } from '../functional.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { default_, type InitOptions } from './init.js';
import { Module, parameter } from './module.js';
import type { Layer } from './sequential.js';

export interface LinearOptions extends InitOptions {
  /** Whether a learned vector is added. Default true. */
  bias?: boolean;
  /** Leave the weights as they lie in memory, for a caller who fills all of them. Default false. */
  skipInit?: boolean | undefined;
  dtype?: DType;
  device?: string;
}

/**
 * x (..., inFeatures) → x·weightᵀ + bias (..., outFeatures), as torch.nn.Linear, from whose default
 * distribution the weights are drawn.
 */
export class Linear extends Module {
  /** (outFeatures, inFeatures) */
  weight: Tensor;
  /** (outFeatures) */
  bias: Tensor | null;
  /** What it gives for x is added, where there is one: a LowRank. */
  adapter: Layer | null = null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, generator = null, skipInit = false, dtype, device }: LinearOptions = {},
  ) {
    super();
    this.weight = parameter(empty([outFeatures, inFeatures], { dtype, device }));
    this.bias = bias ? parameter(empty([outFeatures], { dtype, device })) : null;
    if (!skipInit) default_(this.weight, this.bias, { generator });
  }

  forward(x: Tensor): Tensor {
    const { adapter } = this;
    if (adapter === null) return linear(x, this.weight, this.bias);
    return scope(() => linear(x, this.weight, this.bias).add(adapter.forward(x)));
  }
}
