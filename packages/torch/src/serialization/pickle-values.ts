import type { StoredType } from './stored-type.js';

/** A storage that a pickle names: a run of elements kept beside the pickle. */
export interface StorageReference {
  readonly kind: 'storage';
  readonly key: string;
  readonly type: StoredType;
  /** Elements in the whole storage. */
  readonly numel: number;
  /** The part of it that counts, in elements (a view of a storage, in files before PyTorch 0.4; else all of it). */
  readonly start: number;
  readonly length: number;
}

/** A tensor that a pickle describes: a strided view of a storage. Offset and strides count elements. */
export interface TensorReference {
  readonly kind: 'tensor';
  readonly storage: StorageReference;
  /** Of its elements; the storage's own, or one that the tensor gives to untyped bytes. */
  readonly type: StoredType;
  readonly offset: number;
  readonly shape: number[];
  readonly strides: number[];
  requiresGrad: boolean;
  /** What is stored are the numbers times -1. */
  readonly negated: boolean;
  /** Why it cannot be read, for whoever wants it; null: it can. */
  readonly obstacle: string | null;
}

/**
 * What a pickle can hold, as JavaScript: `None` is null, integers over 2^53 are bigints, lists and tuples are arrays,
 * dictionaries are maps, a `torch.Size` is an array, a `torch.dtype`, `torch.device` or layout its name, a complex number
 * `[re, im]`. `Tensor` stands for its tensors.
 */
export type Pickled<T> =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Pickled<T>[]
  | Map<Pickled<T>, Pickled<T>>
  | Set<Pickled<T>>
  | T;

/** A class or function that a pickle may name and call: one of a closed list, and never code from the file. */
export interface PickleGlobal {
  readonly kind: 'global';
  /** `module.name`, as the pickle wrote it. */
  readonly name: string;
  /** Builds its value. Absent where the name may only be mentioned (storage types). */
  readonly call?: (args: PickleItem[]) => PickleItem;
  /** Of a storage's class. */
  readonly type?: StoredType;
}

/**
 * Stands for a class or function that is not ours, and for whatever the pickle makes of it: it is carried along, never
 * run, and what is put into it is dropped.
 */
export interface OpaqueObject {
  readonly kind: 'opaque';
  /** `module.name` of the class or function, as the pickle wrote it. */
  readonly name: string;
}

export type PickleReference = TensorReference | StorageReference | PickleGlobal | OpaqueObject;

/** A value on the unpickler's stack. */
export type PickleItem = Pickled<PickleReference>;
