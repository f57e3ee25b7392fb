import { aten, type Tensor } from '../tensor.js';
import {
  type BaseOptions,
  type GroupInit,
  Optimizer,
  requireRange,
  type Update,
  withDefaults,
} from './optimizer.js';

export interface SGDOptions extends BaseOptions {
  /** How much of the velocity stays at each step; default 0. */
  momentum: number;
  /** The gradient enters the velocity times 1 − dampening (whole at the first step); default 0. */
  dampening: number;
  /** Look ahead along the velocity; needs momentum and no dampening. Default false. */
  nesterov: boolean;
  /** λ of an L2 penalty, added to the gradient as λ·θ; default 0. */
  weightDecay: number;
}

/**
 * θ ← θ − lr · b with the velocity b ← momentum · b + (1 − dampening) · g (b = g at the first step).
 * Equal to PyTorch 1.13's bit for bit on the CPU.
 *
 * @throws RangeError when an option is out of its range, or `nesterov` is set without momentum or with
 *   dampening
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(groups: readonly GroupInit<SGDOptions>[], options: Partial<SGDOptions> = {}) {
    super(
      groups,
      withDefaults({ lr: 1e-3, momentum: 0, dampening: 0, nesterov: false, weightDecay: 0 }, options),
    );
  }

  protected override validate({ lr, momentum, dampening, nesterov, weightDecay }: SGDOptions): void {
    requireRange('lr', lr, 0);
    requireRange('momentum', momentum, 0);
    requireRange('weightDecay', weightDecay, 0);
    if (nesterov && (momentum === 0 || dampening !== 0)) {
      throw new RangeError(
        `nesterov needs a momentum above 0 and no dampening, not ${momentum} and ${dampening}`,
      );
    }
  }

  protected override stateNames({ momentum }: SGDOptions): string[] {
    return momentum === 0 ? [] : ['momentum_buffer'];
  }

  protected override update({ group, params, grads, state }: Update<SGDOptions>): void {
    const { lr, momentum, dampening, nesterov, weightDecay } = group;
    const gradients = weightDecay === 0 ? grads : aten._foreach_add$List(grads, params, weightDecay);
    if (momentum === 0) {
      aten._foreach_add_$List(params, gradients, -lr);
      return;
    }
    const fresh = new Set<number>();
    const velocities = state('momentum_buffer', (index) => {
      fresh.add(index);
      return (gradients[index] as Tensor).clone();
    });
    const moving = velocities.filter((_, index) => !fresh.has(index));
    if (moving.length > 0) {
      const pushes = gradients.filter((_, index) => !fresh.has(index));
      aten._foreach_mul_$Scalar(moving, momentum);
      aten._foreach_add_$List(moving, pushes, 1 - dampening);
    }
    const directions = nesterov ? aten._foreach_add$List(gradients, velocities, momentum) : velocities;
    aten._foreach_add_$List(params, directions, -lr);
  }
}
