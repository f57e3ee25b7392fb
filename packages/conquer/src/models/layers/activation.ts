import { aten, F, gradEnabled, scope, type Tensor } from '@conquer-dml/torch';

/** What stands between the layers of a backbone, by the name that its family has for it. */
const activations = {
  relu: (x: Tensor) => x.relu(),
  relu6: (x: Tensor) => F.relu6(x),
  gelu: (x: Tensor) => F.gelu(x),
  'gelu-tanh': (x: Tensor) => F.gelu(x, { approximate: 'tanh' }),
  /** x · σ(1.702 x), as OpenAI's CLIP was trained. */
  'quick-gelu': (x: Tensor) => scope(() => x.mul(1.702).sigmoid().mul(x)),
  silu: (x: Tensor) => F.silu(x),
  'hard-swish': (x: Tensor) => aten.hardswish(x),
} as const;

export type Activation = keyof typeof activations;

/** Those that need no memory of their own. */
const inPlace: Partial<Record<Activation, (x: Tensor) => Tensor>> = {
  relu: (x) => x.relu_(),
  relu6: (x) => aten.clamp_(x, 0, 6),
  silu: (x) => aten.silu_(x),
  'hard-swish': (x) => aten.hardswish_(x),
};

/** @returns a new tensor */
export function activate(activation: Activation, x: Tensor): Tensor {
  return activations[activation](x);
}

/** As activate(), in the memory of x where gradients need it no more. */
export function activateInPlace(activation: Activation, x: Tensor): Tensor {
  const change = gradEnabled() ? undefined : inPlace[activation];
  return change === undefined ? activate(activation, x) : change(x);
}
