import { rowDistances, type Tensor } from '@conquer-dml/torch';

/** PyTorch's pairwise_distance of listed pairs of rows: (A, D), (N, D), (P,), (P,) → (P,), the norm of a - b + 1e-6. */
export function pairDistances(a: Tensor, b: Tensor, rowsOfA: Int32Array, rowsOfB: Int32Array): Tensor {
  return rowDistances(a, b, rowsOfA, rowsOfB, { shift: 1e-6 });
}
