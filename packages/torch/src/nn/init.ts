import { noGrad } from '../autograd.js';
import { tensor } from '../creation.js';
import type { Generator } from '../random.js';
import { scope } from '../scope.js';
import { aten, type Tensor } from '../tensor.js';

// Fill a tensor in place, outside the graph, and return it. Each draws exactly as PyTorch's torch.nn.init does
// from the same seed. Exported from the package as `nn.init`.

export interface InitOptions {
  /** Where the numbers come from; without one, from the generator that manualSeed() sets. */
  generator?: Generator | null;
}

/** What follows the weight, see `calculateGain`. */
export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

export interface KaimingOptions extends InitOptions {
  /** Keep the variance of the activations (fanIn, default) or of the gradients (fanOut). */
  mode?: 'fanIn' | 'fanOut';
  /** Default 'leakyRelu'. */
  nonlinearity?: Nonlinearity;
  /** The negative slope of leakyRelu; default 0. */
  a?: number;
}

/** The factor by which a nonlinearity shrinks the standard deviation of its input, inverted. */
export function calculateGain(nonlinearity: Nonlinearity, negativeSlope = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.sqrt(2);
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + negativeSlope ** 2));
    case 'selu':
      return 3 / 4;
  }
}

/**
 * The connections into one output and out of one input, of a weight (O, I, ...kernel).
 * @throws RangeError for fewer than two dimensions
 */
export function calculateFans(tensor: Tensor): { fanIn: number; fanOut: number } {
  const [outputs, inputs, ...kernel] = tensor.shape;
  if (outputs === undefined || inputs === undefined) {
    throw new RangeError(
      `A fan needs a weight of two dimensions or more, not one of shape [${tensor.shape.join(', ')}]`,
    );
  }
  const field = kernel.reduce((product, size) => product * size, 1);
  return { fanIn: inputs * field, fanOut: outputs * field };
}

/** U(low, high). */
export function uniform_(tensor: Tensor, low = 0, high = 1, { generator = null }: InitOptions = {}): Tensor {
  noGrad(() => aten.uniform_(tensor, low, high, generator));
  return tensor;
}

/** N(mean, std²). */
export function normal_(tensor: Tensor, mean = 0, std = 1, { generator = null }: InitOptions = {}): Tensor {
  noGrad(() => aten.normal_(tensor, mean, std, generator));
  return tensor;
}

/** `value` everywhere. */
export function constant_(tensor: Tensor, value: number): Tensor {
  noGrad(() => tensor.fill_(value));
  return tensor;
}

/** U(−b, b) with b = gain · √(3 / fan). He et al., Delving deep into rectifiers, 2015. */
export function kaimingUniform_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(tensor, options);
  return uniform_(tensor, -bound, bound, options);
}

/** N(0, s²) with s = gain / √fan. He et al., Delving deep into rectifiers, 2015. */
export function kaimingNormal_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(tensor, 0, kaimingStd(tensor, options), options);
}

function kaimingStd(
  tensor: Tensor,
  { mode = 'fanIn', nonlinearity = 'leakyRelu', a = 0 }: KaimingOptions,
): number {
  return calculateGain(nonlinearity, a) / Math.sqrt(calculateFans(tensor)[mode]);
}

/** PyTorch's default for linear and convolutional layers: weight and bias from U(−b, b) with b = 1 / √fanIn. */
export function default_(weight: Tensor, bias: Tensor | null, options: InitOptions = {}): void {
  kaimingUniform_(weight, { ...options, a: Math.sqrt(5) });
  if (bias === null) return;
  const bound = 1 / Math.sqrt(calculateFans(weight).fanIn);
  uniform_(bias, -bound, bound, options);
}

export interface XavierOptions extends InitOptions {
  /** Factor of the standard deviation; default 1. */
  gain?: number;
}

/** U(−b, b) with b = gain · √(6 / (fanIn + fanOut)). Glorot and Bengio, 2010. */
export function xavierUniform_(tensor: Tensor, options: XavierOptions = {}): Tensor {
  const bound = Math.sqrt(3) * xavierStd(tensor, options);
  return uniform_(tensor, -bound, bound, options);
}

/** N(0, s²) with s = gain · √(2 / (fanIn + fanOut)). Glorot and Bengio, 2010. */
export function xavierNormal_(tensor: Tensor, options: XavierOptions = {}): Tensor {
  return normal_(tensor, 0, xavierStd(tensor, options), options);
}

function xavierStd(tensor: Tensor, { gain = 1 }: XavierOptions): number {
  const { fanIn, fanOut } = calculateFans(tensor);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

export interface TruncNormalOptions extends InitOptions {
  /** Default 0. */
  mean?: number;
  /** Default 1. */
  std?: number;
  /** The smallest value; default -2. */
  a?: number;
  /** The largest value; default 2. */
  b?: number;
}

/** N(mean, std²) cut off below a and above b, by the inverse of the normal distribution. */
export function truncNormal_(target: Tensor, options: TruncNormalOptions = {}): Tensor {
  const { mean = 0, std = 1, a = -2, b = 2 } = options;
  const from = 2 * normalCdf((a - mean) / std) - 1;
  const to = 2 * normalCdf((b - mean) / std) - 1;
  uniform_(target, from, to, options);
  return noGrad(() => {
    aten.erfinv_(target);
    return target
      .mul_(std * Math.SQRT2)
      .add_(mean)
      .clamp_({ min: a, max: b });
  });
}

function normalCdf(x: number): number {
  return scope(() => (1 + aten.erf(tensor(x / Math.SQRT2, { dtype: 'float64' })).item()) / 2);
}
