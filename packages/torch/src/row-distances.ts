import { native } from './binding.js';
import { tensor } from './creation.js';
import { attempt } from './error.js';
import { hasPasses } from './own-passes.js';
import { scope } from './scope.js';
import { Tensor } from './tensor.js';

export interface RowDistanceOptions {
  /** Added to every difference; default 0. PyTorch's pairwise_distance has 1e-6. */
  shift?: number;
  /** Added under the root; default 0. Above it, the root's gradient is bounded. */
  leastSquare?: number;
}

/**
 * Euclidean distances of listed pairs of rows: sqrt(Σ (x_from - y_to + shift)² + leastSquare), (A, D), (N, D) → (P,). A distance
 * of 0 has no gradient. On the CPU one pass, without a copy of each pair's rows.
 *
 * @param from (P,) rows of x
 * @param to (P,) rows of y, which may be x itself
 * @throws TorchError for rows that there are not
 */
export function rowDistances(
  x: Tensor,
  y: Tensor,
  from: Int32Array,
  to: Int32Array,
  { shift = 0, leastSquare = 0 }: RowDistanceOptions = {},
): Tensor {
  return scope(() => {
    if (hasPasses(x) && x.dtype === y.dtype && hasPasses(y)) {
      const [a, b] = [x.contiguous(), y.contiguous()];
      return new Tensor(
        attempt('rowDistances', () => native.rowDistances(a.handle, b.handle, from, to, shift, leastSquare)),
      );
    }
    const select = (rows: Tensor, which: Int32Array) =>
      rows.indexSelect(0, tensor(which, { dtype: 'int64', device: rows.device }));
    const differences = select(x, from).sub(select(y, to)).add(shift);
    if (leastSquare === 0) return differences.norm(2, 1);
    return differences.square().sum(1).add(leastSquare).sqrt();
  });
}

/**
 * Euclidean distances of listed pairs of rows, (A, D), (N, D) → (P,), each sum in float64; no gradient. Few pairs of a y that is long, as the
 * candidates of a search: nothing of it is copied.
 *
 * @param x float32 on the CPU, contiguous, and so y
 * @throws TorchError for others, and for rows that there are not
 */
export function exactRowDistances(x: Tensor, y: Tensor, from: Int32Array, to: Int32Array): Float32Array {
  return scope(() => {
    const [a, b] = [x.handle, y.handle];
    const distances = attempt('exactRowDistances', () => native.exactRowDistances(a, b, from, to));
    return new Tensor(distances).toTypedArray() as Float32Array;
  });
}
