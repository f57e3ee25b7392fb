import { noGrad } from '../autograd.js';
import { bernoulli } from '../bernoulli.js';
import type { Generator } from '../random.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { DropoutOptions } from './dropout.js';
import { Module } from './module.js';

/**
 * Stochastic depth, for the branch that is added to a shortcut: in training zeroes x (B, ...) of whole images with
 * probability p and divides the others by 1 − p; otherwise returns x itself. Huang et al., Deep Networks with Stochastic
 * Depth, 2016; torchvision's StochasticDepth of mode 'row', timm's DropPath.
 */
export class DropPath extends Module {
  /** As given; may be set at any time. */
  p: number;
  readonly generator: Generator | null;

  /** @throws RangeError unless p is at least 0 and below 1 */
  constructor(p: number, { generator = null }: DropoutOptions = {}) {
    super();
    if (!(p >= 0 && p < 1)) throw new RangeError(`DropPath: expected p from 0 to below 1, got ${p}`);
    this.p = p;
    this.generator = generator;
  }

  /** Whether images are drawn at present. */
  get drops(): boolean {
    return this.training && this.p > 0;
  }

  forward(x: Tensor): Tensor {
    const keep = 1 - this.p;
    if (!this.drops) return x;
    return scope(() => {
      const each = [x.size(0), ...x.shape.slice(1).map(() => 1)];
      const noise = noGrad(() => bernoulli(each, keep, this.generator, x).div_(keep));
      return x.mul(noise);
    });
  }
}

/** Rates that rise evenly from 0, of the first of `depth` blocks, to `last`, of the last one. */
export function dropPathRates(last: number, depth: number): number[] {
  return Array.from({ length: depth }, (_, i) => (depth === 1 ? last : (last * i) / (depth - 1)));
}
