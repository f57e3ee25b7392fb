import { native } from './binding.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';

/** The density of distances that `distanceWeights` inverts, and what it does where that says nothing. */
export interface DistanceDensity {
  /** a of the density d^(2a) (1 - d²/4)^b. */
  exponentOfDistance: number;
  /** b of the density. */
  exponentOfRest: number;
  /** Smaller d² count as this; above 0. */
  leastSquare: number;
  /** Added to every weight. */
  floor: number;
  /** The weight of a pair beyond its row's `far`. */
  farWeight: number;
}

/** Products with itself of each row and of each column of `distanceWeights`, (A,) and (N,), of the products' dtype. */
export interface OwnProducts {
  rows: Tensor;
  columns: Tensor;
}

/**
 * Sampling weights (A, N), row by row: 1 / density of the distance, over the row's largest, plus a floor. Zero for
 * pairs of one label; `farWeight` for pairs beyond `far`, of one label too. What has no weight by density counts as 1
 * in the row's largest. One pass on one thread: as operators it would be thirty, each too small for two.
 *
 * @param products (A, N) inner products of the rows with the columns, float32 or float64
 * @param own null where rows and columns are the same: then they are the products' diagonal
 * @param rowLabels (A,)
 * @param columnLabels (N,)
 * @param far (A,) distances
 * @param weights what is filled and returned, row-major: a Float32Array or Float64Array, as the products
 * @returns the weights; NaN all along a row that is not finite, without meaning along such a column
 * @throws Error if shapes or dtypes are others
 */
export function distanceWeights<W extends Float32Array | Float64Array>(
  products: Tensor,
  own: OwnProducts | null,
  rowLabels: Int32Array,
  columnLabels: Int32Array,
  far: Float64Array,
  weights: W,
  { exponentOfDistance, exponentOfRest, leastSquare, floor, farWeight }: DistanceDensity,
): W {
  scope(() => {
    const onCpu = (x: Tensor) => x.to('cpu').contiguous().handle;
    const density = [exponentOfDistance, exponentOfRest, leastSquare, floor, farWeight] as const;
    const squares = own === null ? [] : [onCpu(own.rows), onCpu(own.columns)];
    native.distanceWeights(onCpu(products), squares, rowLabels, columnLabels, far, weights, ...density);
  });
  return weights;
}
