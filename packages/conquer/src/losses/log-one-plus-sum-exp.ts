import { cat, type Tensor } from '@conquer-dml/torch';

/**
 * log(1 + Σ_j exp(x_ij)) over the chosen j of each row, without overflow: (R, C), (R, C) bool → (R,). A row without
 * any gives 0, with a zero gradient.
 */
export function logOnePlusSumExp(x: Tensor, chosen: Tensor): Tensor {
  const one = x.narrow(1, 0, 1).detach().mul(0); // exp(0)
  return cat([x.maskedFill(chosen.logicalNot(), -Infinity), one], 1).logsumexp(1);
}
