import { aten, type Tensor } from '@conquer-dml/torch';
import { maskedLogSumExp } from './masked-log-sum-exp.js';

/** From where on log(1 + exp x) is x to the last bit of float64. */
const LINEAR = 40;

/**
 * log(1 + Σ_j exp(x_ij)) over the chosen j of each row, without overflow: (R, C), (R, C) bool → (R,). A row without
 * any gives 0, with a zero gradient.
 */
export function logOnePlusSumExp(x: Tensor, chosen: Tensor): Tensor {
  return aten.softplus(maskedLogSumExp(x, chosen), 1, LINEAR);
}
