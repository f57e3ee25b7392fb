import { aten, F, scope, type Tensor } from '@conquer-dml/torch';

/** What stands between the layers of a backbone, by the name that its family has for it. */
const activations = {
  relu: (x: Tensor) => x.relu(),
  relu6: (x: Tensor) => x.clamp({ min: 0, max: 6 }),
  gelu: (x: Tensor) => F.gelu(x),
  'gelu-tanh': (x: Tensor) => F.gelu(x, { approximate: 'tanh' }),
  /** x · σ(1.702 x), as OpenAI's CLIP was trained. */
  'quick-gelu': (x: Tensor) => scope(() => x.mul(1.702).sigmoid().mul(x)),
  silu: (x: Tensor) => F.silu(x),
  'hard-swish': (x: Tensor) => aten.hardswish(x),
} as const;

export type Activation = keyof typeof activations;

/** @returns a new tensor */
export function activate(activation: Activation, x: Tensor): Tensor {
  return activations[activation](x);
}
