import { tensor } from '../creation.js';
import type { DType } from '../dtype.js';
import { aten, type Tensor } from '../tensor.js';
import { ELEMENT_TYPES } from './element-types.js';

/** An element type as files have it: one that a tensor here can have, or one that becomes a wider one on reading. */
export interface StoredType {
  /** PyTorch's name of its dtype. */
  readonly name: string;
  readonly bits: number;
  /** In a safetensors header; null: it has no place there. */
  readonly safetensors: string | null;
  /** The class of its storage in a PyTorch pickle, in module `torch`; null: it has none of its own. */
  readonly storage: string | null;
  /** What its bytes are read as; null where no tensor here holds such numbers: whoever wants one is refused. */
  readonly raw: DType | null;
  /** Turns numbers of `raw` into the numbers that they stand for. Absent: they are those. */
  readonly widen?: (raw: Tensor) => Tensor;
  /** Says why a tensor that was read cannot stand for what is in the file; null: it does. */
  readonly obstacle?: (read: Tensor) => string | null;
}

interface Float8Format {
  exponentBits: number;
  bias: number;
  /** Numbers that are not finite: as IEEE has them, only NaN with all bits set, or only NaN in place of -0. */
  special: 'ieee' | 'all-ones' | 'minus-zero';
}

/** The 256 numbers of an 8-bit floating-point format: sign, exponent, mantissa. */
function float8Numbers({ exponentBits, bias, special }: Float8Format): Float32Array {
  const mantissaBits = 7 - exponentBits;
  const highest = 2 ** exponentBits - 1;
  const steps = 2 ** mantissaBits;
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const sign = byte >= 128 ? -1 : 1;
    const exponent = (byte & 127) >> mantissaBits;
    const mantissa = byte & (steps - 1);
    if (special === 'minus-zero' && byte === 128) return Number.NaN;
    if (special === 'all-ones' && (byte & 127) === 127) return Number.NaN;
    if (special === 'ieee' && exponent === highest) {
      return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    }
    // Without the leading one where the exponent is 0.
    const significand = exponent === 0 ? mantissa / steps : 1 + mantissa / steps;
    return sign * significand * 2 ** (Math.max(exponent, 1) - bias);
  });
}

function float8(name: string, safetensors: string, numbers: Float32Array): StoredType {
  const widen = (bytes: Tensor) => aten.index_select(tensor(numbers), 0, bytes.to('int64'));
  return { name, bits: 8, safetensors, storage: null, raw: 'uint8', widen };
}

/** A power of two by its exponent alone; 255 is NaN. */
const e8m0 = Float32Array.from({ length: 256 }, (_, byte) => (byte === 255 ? Number.NaN : 2 ** (byte - 127)));

const float8Types: readonly StoredType[] = [
  float8('float8_e8m0fnu', 'F8_E8M0', e8m0),
  float8('float8_e4m3fn', 'F8_E4M3', float8Numbers({ exponentBits: 4, bias: 7, special: 'all-ones' })),
  float8('float8_e5m2', 'F8_E5M2', float8Numbers({ exponentBits: 5, bias: 15, special: 'ieee' })),
  float8(
    'float8_e4m3fnuz',
    'F8_E4M3FNUZ',
    float8Numbers({ exponentBits: 4, bias: 8, special: 'minus-zero' }),
  ),
  float8(
    'float8_e5m2fnuz',
    'F8_E5M2FNUZ',
    float8Numbers({ exponentBits: 5, bias: 16, special: 'minus-zero' }),
  ),
];

/** libtorch has them from version 2.3 on: here they become the next wider kind with a sign. */
const unsignedTypes: readonly StoredType[] = [
  {
    ...{ name: 'uint16', bits: 16, safetensors: 'U16', storage: null, raw: 'int16' },
    widen: (raw) => aten.bitwise_and$Scalar(raw.to('int32'), 0xffff),
  },
  {
    ...{ name: 'uint32', bits: 32, safetensors: 'U32', storage: null, raw: 'int32' },
    widen: (raw) => aten.bitwise_and$Scalar(raw.to('int64'), 0xffffffff),
  },
  {
    ...{ name: 'uint64', bits: 64, safetensors: 'U64', storage: null, raw: 'int64' },
    obstacle: (read) =>
      aten.any(read.lt(0)).item() ? 'holds integers from 2^63 on, which int64 does not reach' : null,
  },
];

const unread = (name: string, bits: number, safetensors: string | null, storage: string | null) => ({
  ...{ name, bits, safetensors, storage },
  raw: null,
});

/** Bytes that have no type until a tensor gives them one. */
export const UNTYPED: StoredType = unread('untyped', 8, null, 'UntypedStorage');

const STORED_TYPES: readonly StoredType[] = [
  ...ELEMENT_TYPES.map(({ dtype, bytes, safetensors, storage }) => ({
    ...{ name: dtype, bits: 8 * bytes, safetensors, storage },
    raw: dtype,
  })),
  ...float8Types,
  ...unsignedTypes,
  unread('complex32', 32, null, 'ComplexHalfStorage'),
  unread('complex64', 64, 'C64', 'ComplexFloatStorage'),
  unread('complex128', 128, null, 'ComplexDoubleStorage'),
  unread('quint8', 8, null, 'QUInt8Storage'),
  unread('qint8', 8, null, 'QInt8Storage'),
  unread('qint32', 32, null, 'QInt32Storage'),
  unread('quint4x2', 8, null, 'QUInt4x2Storage'),
  unread('quint2x4', 8, null, 'QUInt2x4Storage'),
  // PyTorch counts the bytes of two numbers each, safetensors the numbers.
  unread('float4_e2m1fn_x2', 8, null, null),
  unread('float4', 4, 'F4', null),
  unread('float6_e2m3', 6, 'F6_E2M3', null),
  unread('float6_e3m2', 6, 'F6_E3M2', null),
  UNTYPED,
];

export const storedTypesByName: ReadonlyMap<string, StoredType> = new Map(
  STORED_TYPES.map((type) => [type.name, type]),
);

export const storedTypesByStorage: ReadonlyMap<string, StoredType> = new Map(
  STORED_TYPES.flatMap((type) => (type.storage === null ? [] : [[type.storage, type] as const])),
);

export const storedTypesBySafetensors: ReadonlyMap<string, StoredType> = new Map(
  STORED_TYPES.flatMap((type) => (type.safetensors === null ? [] : [[type.safetensors, type] as const])),
);
