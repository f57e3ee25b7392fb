import { aten, type Tensor } from '@conquer-dml/torch';

/** PyTorch's pairwise_distance of paired rows, (T, D), (T, D) → (T,): the norm of a - b + 1e-6. */
export function pairDistance(a: Tensor, b: Tensor): Tensor {
  return aten.pairwise_distance(a, b, 2, 1e-6, false);
}
