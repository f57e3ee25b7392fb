import { autocastDtype } from '../autograd.js';
import { empty } from '../creation.js';
import type { DType } from '../dtype.js';
import { linear } from '../functional.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { bfloat16Linear, suitsBfloat16Convolution } from './bfloat16-convolution.js';
import { Derived } from './derived.js';
import { default_, type InitOptions } from './init.js';
import { keptBfloat16Linear, packedBfloat16 } from './kept-bfloat16-convolution.js';
import { LowRank } from './low-rank.js';
import { Module, parameter } from './module.js';
import { packedLinear, packedWeights, suitsPackedLinear } from './packed-linear.js';
import type { Layer } from './sequential.js';

export interface LinearOptions extends InitOptions {
  /** Whether a learned vector is added. Default true. */
  bias?: boolean;
  /** Leave the weights as they lie in memory, for a caller who fills all of them. Default false. */
  skipInit?: boolean | undefined;
  dtype?: DType;
  device?: string;
}

type ReadyWeights = { weight: Tensor; bias: Tensor | null };

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
  /** @internal What the adapter learnt added, and in the order in which our kernels read it, or cast as autocast would at each call. */
  readonly ready = new Derived<ReadyWeights>();

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
    const ready = this.ready.isWanted ? this.#ready(x) : null;
    if (ready !== null) return ready;
    if (adapter === null) return product(this, x);
    return scope(() => product(this, x).add(adapter.forward(x)));
  }

  /** By what is kept in the place of weight and bias; null: they themselves are used, and what stands beside them. */
  #ready(x: Tensor): Tensor | null {
    const { adapter, weight, bias } = this;
    const learnt = adapter instanceof LowRank && !adapter.training ? adapter : null;
    if (adapter !== learnt) return null;
    const sources = [weight, bias, learnt?.loraA ?? null, learnt?.loraB ?? null];
    const merged = () => learnt?.mergedInto(weight) ?? weight;
    if (suitsPackedLinear(x, weight)) {
      const kept = this.ready.of(sources, 'packed', () => packedWeights(merged(), bias));
      return packedLinear(x, kept.weight, kept.bias!);
    }
    if (isBfloat16Product(this, x)) {
      const kept = this.ready.of(sources, 'bfloat16 kernels', () => ({
        weight: packedBfloat16(merged().view([...weight.shape, 1, 1]), {}),
        bias: bias?.detach().clone() ?? null,
      }));
      return keptBfloat16Linear(x, kept.weight, kept.bias, weight.size(0));
    }
    const dtype = weight.dtype === 'float64' ? null : autocastDtype(x.device);
    if (learnt === null && dtype === null) return null;
    const used = dtype ?? weight.dtype;
    const kept = this.ready.of(sources, used, () => ({
      weight: merged().to(used),
      bias: bias?.to(used) ?? null,
    }));
    return linear(x, kept.weight, kept.bias);
  }
}

function product(layer: Linear, x: Tensor): Tensor {
  const { weight, bias } = layer;
  return isBfloat16Product(layer, x) ? bfloat16Linear(x, weight, bias) : linear(x, weight, bias);
}

const isBfloat16Product = ({ weight, bias }: Linear, x: Tensor): boolean =>
  weight.size(1) % 32 === 0 &&
  x.shape.at(-1) === weight.size(1) &&
  suitsBfloat16Convolution(x, { weight, bias });
