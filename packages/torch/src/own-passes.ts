import type { Tensor } from './tensor.js';

/** Whether the passes of our own C++ take x, once it is contiguous: on the CPU, in single or double precision. */
export const hasPasses = (x: Tensor): boolean =>
  x.device === 'cpu' && (x.dtype === 'float32' || x.dtype === 'float64');
