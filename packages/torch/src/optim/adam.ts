import { native } from '../binding.js';
import { aten } from '../tensor.js';
import {
  type BaseOptions,
  type GroupInit,
  Optimizer,
  requireRange,
  type Update,
  withDefaults,
} from './optimizer.js';
import { integerPower } from './power.js';

export interface AdamOptions extends BaseOptions {
  /**
   * How much of the running means of the gradient and of its square stays at each step. Default [0.9, 0.999].
   */
  betas: [number, number];
  /** Added to the root of the second moment. Default 1e-8. */
  eps: number;
  /**
   * Adam: λ of an L2 penalty, added to the gradient as λ·θ. AdamW: θ shrinks by lr·λ·θ instead. Default 0
   * (Adam) or 0.01 (AdamW).
   */
  weightDecay: number;
}

abstract class AdamBase extends Optimizer<AdamOptions> {
  protected override validate({ lr, betas, eps, weightDecay }: AdamOptions): void {
    requireRange('lr', lr, 0);
    requireRange('betas[0]', betas[0], 0, 1);
    requireRange('betas[1]', betas[1], 0, 1);
    requireRange('eps', eps, 0);
    requireRange('weightDecay', weightDecay, 0);
  }

  protected override stateNames(): string[] {
    return ['exp_avg', 'exp_avg_sq'];
  }

  /**
   * m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps), in the
   * order of PyTorch's operations; before it θ ← decay·θ, and λθ is added to g.
   */
  protected adam(
    { group, params, grads, steps, state }: Update<AdamOptions>,
    { decay = 1, l2 = 0 }: { decay?: number; l2?: number },
  ): void {
    const {
      lr,
      betas: [beta1, beta2],
      eps,
    } = group;
    const means = state('exp_avg');
    const squares = state('exp_avg_sq');
    // Parameters without a gradient in some step lag behind: each has a count of its own.
    const corrections = steps.map((step) => Math.sqrt(1 - integerPower(beta2, step)));
    const sizes = steps.map((step) => -(lr / (1 - integerPower(beta1, step))));
    const constants = [beta1, 1 - beta1, beta2, 1 - beta2, eps, decay, l2];
    const inOnePass = native.adam(
      params.map(({ handle }) => handle),
      grads.map(({ handle }) => handle),
      means.map(({ handle }) => handle),
      squares.map(({ handle }) => handle),
      Float64Array.from(sizes),
      Float64Array.from(corrections),
      Float64Array.from(constants),
    );
    if (inOnePass) return;

    // On a card, where libtorch has kernels for whole lists.
    if (decay !== 1) aten._foreach_mul_$Scalar(params, decay);
    const gradients = l2 === 0 ? grads : aten._foreach_add$List(grads, params, l2);
    aten._foreach_mul_$Scalar(means, beta1);
    aten._foreach_add_$List(means, gradients, 1 - beta1);
    aten._foreach_mul_$Scalar(squares, beta2);
    aten._foreach_addcmul_$Scalar(squares, gradients, gradients, 1 - beta2);
    const denominators = aten._foreach_sqrt(squares);
    aten._foreach_div_$ScalarList(denominators, corrections);
    aten._foreach_add_$Scalar(denominators, eps);
    aten._foreach_addcdiv_$ScalarList(params, means, denominators, sizes);
  }
}

/**
 * Kingma and Ba, Adam, 2015; weight decay as an L2 penalty. Equal to PyTorch 1.13's bit for bit on the CPU.
 *
 * @throws RangeError when an option is out of its range
 */
export class Adam extends AdamBase {
  constructor(groups: readonly GroupInit<AdamOptions>[], options: Partial<AdamOptions> = {}) {
    super(groups, withDefaults({ lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 }, options));
  }

  protected override update(update: Update<AdamOptions>): void {
    this.adam(update, { l2: update.group.weightDecay });
  }
}

/**
 * Loshchilov and Hutter, Decoupled weight decay, 2019: Adam whose weight decay does not pass through the
 * moments. Equal to PyTorch 1.13's bit for bit on the CPU.
 *
 * @throws RangeError when an option is out of its range
 */
export class AdamW extends AdamBase {
  constructor(groups: readonly GroupInit<AdamOptions>[], options: Partial<AdamOptions> = {}) {
    super(groups, withDefaults({ lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 }, options));
  }

  protected override update(update: Update<AdamOptions>): void {
    const { lr, weightDecay } = update.group;
    this.adam(update, { decay: 1 - lr * weightDecay });
  }
}
