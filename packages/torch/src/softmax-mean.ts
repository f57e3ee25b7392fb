import { native } from './binding.js';
import { softmax } from './functional.js';
import { hasPasses } from './own-passes.js';
import { scope } from './scope.js';
import { Tensor } from './tensor.js';

/**
 * The mean of x along its last dimension, weighed by its softmax: Σ_k softmax_k(x / temperature) x_k, (…, K) → (…); between the mean
 * and, as the temperature nears 0, the largest. With its gradient one pass each way on the CPU.
 */
export function softmaxMean(x: Tensor, temperature: number): Tensor {
  return scope(() => {
    if (hasPasses(x)) return new Tensor(native.softmaxMean(x.contiguous().handle, temperature));
    return softmax(x.div(temperature), -1).mul(x).sum(-1);
  });
}
