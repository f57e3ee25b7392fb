import { empty, zeros } from '../creation.js';
import { dropout, linear } from '../functional.js';
import type { Generator } from '../random.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { default_ } from './init.js';
import { Module, parameter } from './module.js';

export interface LowRankOptions {
  /** Rows of the product's inner side, r. */
  rank: number;
  /** The product is multiplied by alpha / rank. Default: the rank. */
  alpha?: number;
  /** Share of the inputs that training leaves out. Default 0. */
  dropout?: number;
  /** Draws the first matrix; without one, the generator that manualSeed() sets. */
  generator?: Generator | null | undefined;
  /** Draws the dropout. */
  dropoutGenerator?: Generator | null | undefined;
}

/**
 * What a linear layer learns beside a weight that stays: x · (B A)ᵀ · alpha / rank, with B zero at first. Hu et al., LoRA:
 * Low-Rank Adaptation of Large Language Models, 2022.
 */
export class LowRank extends Module {
  /** (rank, inFeatures) */
  loraA: Tensor;
  /** (outFeatures, rank) */
  loraB: Tensor;
  readonly scale: number;
  private readonly dropout: number;
  private readonly dropoutGenerator: Generator | null;

  /** Of the layer's sizes, dtype and device; put it at `layer.adapter`. */
  constructor(
    { inFeatures, outFeatures, weight }: { inFeatures: number; outFeatures: number; weight: Tensor },
    { rank, alpha = rank, dropout = 0, generator = null, dropoutGenerator = null }: LowRankOptions,
  ) {
    super();
    const { dtype, device } = weight;
    this.loraA = parameter(empty([rank, inFeatures], { dtype, device }));
    this.loraB = parameter(zeros([outFeatures, rank], { dtype, device }));
    default_(this.loraA, null, { generator });
    this.scale = alpha / rank;
    this.dropout = dropout;
    this.dropoutGenerator = dropoutGenerator;
  }

  /** The layer's weight with what was learnt added: one product does for both, without dropout. It belongs to the caller. */
  mergedInto(weight: Tensor): Tensor {
    return scope(() => weight.add(this.loraB.matmul(this.loraA).mul(this.scale)));
  }

  /** x (..., inFeatures) → (..., outFeatures), which belongs to the caller. */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const { training, dropoutGenerator: generator } = this;
      const seen = dropout(x, { p: this.dropout, training, generator });
      return linear(linear(seen, this.loraA), this.loraB).mul(this.scale);
    });
  }
}
