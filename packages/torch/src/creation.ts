import { native, type TypedArray } from './binding.js';
import { type DType, dtypeOf } from './dtype.js';
import { TorchError, torchError } from './error.js';
import type { Generator } from './random.js';
import { aten, type NestedNumbers, Tensor } from './tensor.js';

export interface TensorOptions {
  /** float32 unless told otherwise, also where PyTorch would take int64 from whole numbers. */
  dtype?: DType;
  /** 'cpu' (default), 'cuda:0', … */
  device?: string;
  /** Whether it takes gradients; default false. */
  requiresGrad?: boolean;
}
export interface RandomOptions extends TensorOptions {
  /** Draws the numbers; without one, the generator that manualSeed() sets. */
  generator?: Generator;
}

function shapeOf(data: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let level: NestedNumbers | undefined = data; Array.isArray(level); level = level[0])
    shape.push(level.length);
  return shape;
}

function flatten(
  data: NestedNumbers,
  shape: readonly number[],
  dim: number,
  out: Float64Array,
  offset: number,
): number {
  if (!Array.isArray(data)) {
    if (dim !== shape.length)
      throw new TorchError(`tensor: rows of different depth, expected shape [${shape}]`);
    if (typeof data !== 'number') throw new TorchError(`tensor: expected numbers, got ${typeof data}`);
    out[offset] = data;
    return offset + 1;
  }
  if (data.length !== shape[dim]) {
    throw new TorchError(
      `tensor: rows of different length: ${data.length} where shape [${shape}] needs ${shape[dim]}`,
    );
  }
  return data.reduce((position: number, row) => flatten(row, shape, dim + 1, out, position), offset);
}

/**
 * A tensor with a copy of `data`: a number, nested arrays, or a typed array (with `shape`), as torch.tensor.
 * As all tensors that these functions make, it belongs to the innermost open scope(), or else to the caller.
 *
 * @returns of the typed array's own dtype, float32 for plain numbers, unless `dtype` says otherwise.
 * @throws TorchError for rows of different length or depth, or a `shape` that does not fit; TypeError for a
 *   typed array that libtorch has no dtype for
 */
export function tensor(
  data: NestedNumbers | TypedArray,
  options: TensorOptions & { shape?: readonly number[] } = {},
): Tensor {
  const { device = 'cpu', requiresGrad = false } = options;
  const plain = typeof data === 'number' || Array.isArray(data);
  let values: TypedArray;
  let shape: readonly number[];
  if (plain) {
    const nested = shapeOf(data);
    values = new Float64Array(nested.reduce((product, size) => product * size, 1));
    flatten(data, nested, 0, values, 0);
    shape = options.shape ?? nested;
  } else {
    values = data;
    shape = options.shape ?? [data.length];
  }
  const own = dtypeOf(values);
  const dtype = options.dtype ?? (plain ? 'float32' : own);
  let result: Tensor;
  try {
    result = new Tensor(native.fromBuffer(values, shape, own));
  } catch (error) {
    throw torchError('tensor', error);
  }
  if (dtype !== own || device !== 'cpu') {
    const host = result;
    result = host.to({ dtype, device });
    host.dispose();
  }
  return requiresGrad ? result.requiresGrad_() : result;
}

function finish(result: Tensor, options: TensorOptions): Tensor {
  return options.requiresGrad ? result.requiresGrad_() : result;
}

/** As torch.zeros. */
export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(aten.zeros(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}
/** As torch.ones. */
export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(aten.ones(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}
/** As torch.empty: the elements are whatever the memory held. */
export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finish(
    aten.empty$memory_format(shape, options.dtype ?? 'float32', null, options.device ?? 'cpu'),
    options,
  );
}
/** As torch.full, but float32 unless told otherwise. */
export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  return finish(aten.full(shape, value, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}
/**
 * start, start + step, … below end, as torch.arange: (ceil((end - start) / step),). With one number, 0 …
 * start - 1. int64 unless told otherwise, as index tensors are.
 */
export function arange(start: number, end?: number, step = 1, options: TensorOptions = {}): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end];
  return finish(
    aten.arange$start_step(from, to, step, options.dtype ?? 'int64', null, options.device ?? 'cpu'),
    options,
  );
}
/** (steps,), evenly spaced from start to end, both included, as torch.linspace. */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  return finish(
    aten.linspace(start, end, steps, options.dtype ?? 'float32', null, options.device ?? 'cpu'),
    options,
  );
}
/** (n, n), ones on the diagonal, as torch.eye. */
export function eye(n: number, options: TensorOptions = {}): Tensor {
  return finish(aten.eye(n, options.dtype ?? 'float32', null, options.device ?? 'cpu'), options);
}

/** Uniform on [0, 1), as torch.rand. */
export function rand(shape: readonly number[], options: RandomOptions = {}): Tensor {
  const { generator = null, dtype = 'float32', device = 'cpu' } = options;
  return finish(aten.rand$generator(shape, generator, dtype, null, device), options);
}
/** Standard normal, as torch.randn. */
export function randn(shape: readonly number[], options: RandomOptions = {}): Tensor {
  const { generator = null, dtype = 'float32', device = 'cpu' } = options;
  return finish(aten.randn$generator(shape, generator, dtype, null, device), options);
}
/** Integers from low to high - 1, as torch.randint; int64 unless told otherwise. */
export function randint(
  low: number,
  high: number,
  shape: readonly number[],
  options: RandomOptions = {},
): Tensor {
  const { generator = null, dtype = 'int64', device = 'cpu' } = options;
  return finish(aten.randint$low_generator(low, high, shape, generator, dtype, null, device), options);
}
/** A permutation of 0 … n - 1, (n,), as torch.randperm; int64 unless told otherwise. */
export function randperm(n: number, options: RandomOptions = {}): Tensor {
  const { generator = null, dtype = 'int64', device = 'cpu' } = options;
  return finish(aten.randperm$generator(n, generator, dtype, null, device), options);
}

/** Of the shape, dtype and device of `other`, as torch.zeros_like. */
export function zerosLike(other: Tensor): Tensor {
  return aten.zeros_like(other);
}
/** Of the shape, dtype and device of `other`, as torch.ones_like. */
export function onesLike(other: Tensor): Tensor {
  return aten.ones_like(other);
}
/** Of the shape, dtype and device of `other`, not filled, as torch.empty_like. */
export function emptyLike(other: Tensor): Tensor {
  return aten.empty_like(other);
}
/** Joined along a dimension they have, as torch.cat: a copy. @throws TorchError if the other sizes differ */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  return aten.cat(tensors, dim);
}
/** Joined along a new dimension, as torch.stack: a copy. @throws TorchError if the shapes differ */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  return aten.stack(tensors, dim);
}
