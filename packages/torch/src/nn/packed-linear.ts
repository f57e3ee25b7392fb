import { autocastDtype } from '../autograd.js';
import { native } from '../binding.js';
import { zeros } from '../creation.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';

// Products with weights by the kernels of our convolutions (native/convolution.cc), without gradients: on few rows libtorch's
// threads wait for each other longer than they compute.

let packs: boolean | null = null;

/** Whether there are kernels for it, and no wider vectors that libtorch's would use and be faster by. */
export function suitsPackedLinear(x: Tensor, weight: Tensor): boolean {
  packs ??= native.packsProducts();
  const [outputs = 0, inputs = 0] = weight.shape;
  return (
    packs &&
    [x, weight].every(({ device, dtype }) => device === 'cpu' && dtype === 'float32') &&
    outputs > 0 &&
    outputs % 8 === 0 &&
    inputs > 0 &&
    x.shape.at(-1) === inputs &&
    autocastDtype(x.device) === null
  );
}

/** As packedLinear() reads them. @param weight (O, I) @param bias (O); null: zeros */
export const packedWeights = (weight: Tensor, bias: Tensor | null): { weight: Tensor; bias: Tensor } =>
  scope(() => {
    const [outputs = 0, inputs = 0] = weight.shape;
    const packed = new Tensor(
      native.packConvolution(weight.detach().reshape([outputs, inputs, 1, 1]).handle, false),
    );
    return { weight: packed, bias: bias === null ? zeros([outputs]) : bias.detach().clone() };
  });

/** x (…, I) → (…, O) */
export const packedLinear = (x: Tensor, weight: Tensor, bias: Tensor): Tensor =>
  new Tensor(native.packedLinear(x.handle, weight.handle, bias.handle));
