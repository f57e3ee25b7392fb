import type { Tensor } from '@conquer-dml/torch';

/**
 * branch + x, in the branch's memory where that can hold the sum. Within autocast a branch that ends in a product is of half
 * precision: a shortcut of single precision stays that, as with PyTorch's own `x + branch`.
 */
export const plusShortcut = (branch: Tensor, x: Tensor): Tensor =>
  branch.dtype === x.dtype ? branch.add_(x) : branch.add(x);
