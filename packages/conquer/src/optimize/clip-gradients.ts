import { aten, noGrad, scope, stack, type Tensor } from '@conquer-dml/torch';

/**
 * Scales gradients down together, in place, where the norm of all of them is above `maxNorm`: PyTorch's
 * clip_grad_norm_. Nothing is read from the device.
 */
export function clipGradients(gradients: readonly Tensor[], maxNorm: number): void {
  if (gradients.length === 0) return;
  noGrad(() =>
    scope(() => {
      const norms = stack(aten._foreach_norm$Scalar([...gradients]).map((norm) => norm.to('float32')));
      // The small number keeps PyTorch's results, and the quotient finite.
      const factor = norms.norm().add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
      for (const gradient of gradients) gradient.mul_(factor.to(gradient.dtype));
    }),
  );
}
