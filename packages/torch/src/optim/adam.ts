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
   * order of PyTorch's operations.
   */
  protected adam(
    { group, params, steps, state }: Update<AdamOptions>,
    grads: Update<AdamOptions>['grads'],
  ): void {
    const {
      lr,
      betas: [beta1, beta2],
      eps,
    } = group;
    const means = state('exp_avg');
    const squares = state('exp_avg_sq');
    aten._foreach_mul_$Scalar(means, beta1);
    aten._foreach_add_$List(means, grads, 1 - beta1);
    aten._foreach_mul_$Scalar(squares, beta2);
    aten._foreach_addcmul_$Scalar(squares, grads, grads, 1 - beta2);
    // Parameters without a gradient in some step lag behind: each has a count of its own.
    const denominators = aten._foreach_sqrt(squares);
    const corrections = steps.map((step) => Math.sqrt(1 - integerPower(beta2, step)));
    aten._foreach_div_$ScalarList(denominators, corrections);
    aten._foreach_add_$Scalar(denominators, eps);
    const sizes = steps.map((step) => -(lr / (1 - integerPower(beta1, step))));
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
    const { weightDecay } = update.group;
    const { grads, params } = update;
    this.adam(update, weightDecay === 0 ? grads : aten._foreach_add$List(grads, params, weightDecay));
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
    aten._foreach_mul_$Scalar(update.params, 1 - lr * weightDecay);
    this.adam(update, update.grads);
  }
}
