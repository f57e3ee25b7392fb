import { gradEnabled } from './autograd.js';
import { native } from './binding.js';
import { attempt } from './error.js';
import { Tensor } from './tensor.js';

/**
 * Inner products of the rows of x with those of y: x yᵀ, (A, D), (N, D) → (A, N). Where both are the same tensor, the gradient
 * takes one product of matrices instead of two.
 */
export function rowProducts(x: Tensor, y: Tensor): Tensor {
  if (x === y && gradEnabled() && x.requiresGrad)
    return new Tensor(attempt('rowProducts', () => native.selfProducts(x.handle)));
  return x.matmul(y.t());
}
