import type { DType } from '../dtype.js';
import { SerializationError } from './serialization-error.js';

/** What the file formats call a dtype, and how many bytes an element takes. */
export interface ElementType {
  dtype: DType;
  bytes: number;
  /** In a safetensors header. */
  safetensors: string;
  /** The class of its storage in a PyTorch pickle, in module `torch`. */
  storage: string;
}

export const ELEMENT_TYPES: readonly ElementType[] = [
  { dtype: 'float64', bytes: 8, safetensors: 'F64', storage: 'DoubleStorage' },
  { dtype: 'float32', bytes: 4, safetensors: 'F32', storage: 'FloatStorage' },
  { dtype: 'float16', bytes: 2, safetensors: 'F16', storage: 'HalfStorage' },
  { dtype: 'bfloat16', bytes: 2, safetensors: 'BF16', storage: 'BFloat16Storage' },
  { dtype: 'int64', bytes: 8, safetensors: 'I64', storage: 'LongStorage' },
  { dtype: 'int32', bytes: 4, safetensors: 'I32', storage: 'IntStorage' },
  { dtype: 'int16', bytes: 2, safetensors: 'I16', storage: 'ShortStorage' },
  { dtype: 'int8', bytes: 1, safetensors: 'I8', storage: 'CharStorage' },
  { dtype: 'uint8', bytes: 1, safetensors: 'U8', storage: 'ByteStorage' },
  { dtype: 'bool', bytes: 1, safetensors: 'BOOL', storage: 'BoolStorage' },
];

const byDType = new Map(ELEMENT_TYPES.map((type) => [type.dtype, type]));

/** The element type of a tensor's dtype; complex tensors have none. `what` names the tensor in the error. */
export function elementType(dtype: DType, what: string): ElementType {
  const type = byDType.get(dtype);
  if (type === undefined) {
    throw new SerializationError(`${what} is ${dtype}: expected one of ${[...byDType.keys()].join(', ')}`);
  }
  return type;
}

/** How many elements a shape has; NaN where the product of its sizes, zeros aside, is over 2^53. */
export function elementCount(shape: readonly number[]): number {
  const span = shape.reduce((product, size) => product * Math.max(size, 1), 1);
  if (!(span <= Number.MAX_SAFE_INTEGER)) return Number.NaN;
  return shape.includes(0) ? 0 : span;
}
