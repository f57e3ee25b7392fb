import { gradEnabled } from './autograd.js';
import { native } from './binding.js';
import { aten, type Tensor } from './tensor.js';

/** Whether hardtanh has a gradient of this dtype: libtorch 1.x has none of bfloat16 on the CPU. */
const hasGradient = ({ dtype }: Tensor) => dtype !== 'bfloat16' || !native.version().startsWith('1.');

/** min(max(x, 0), 6), as F.relu6. By hardtanh, whose gradient is one pass over x, where clamp's is five. */
export function relu6(x: Tensor): Tensor {
  return hasGradient(x) ? aten.hardtanh(x, 0, 6) : x.clamp({ min: 0, max: 6 });
}

/** The same in the memory of x, where its gradient does not need it. @returns x, or a new tensor */
export function relu6InPlace(x: Tensor): Tensor {
  if (!gradEnabled()) return aten.clamp_(x, 0, 6);
  return hasGradient(x) ? aten.hardtanh_(x, 0, 6) : relu6(x);
}
