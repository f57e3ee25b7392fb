import { noGrad } from '../autograd.js';
import { empty } from '../creation.js';
import { aten, type Tensor } from '../tensor.js';
import type { FileReader } from './file-reader.js';
import type { StorageReference, TensorReference } from './pickle-values.js';
import { quoted, SerializationError } from './serialization-error.js';
import { TensorFileReader } from './tensor-file.js';
import type { TorchFile } from './torch-file.js';
import { checkCrc } from './zip-reader.js';

/** Makes the tensors that a pickle describes; each storage is read once. */
export class TensorBuilder {
  readonly tensors: Tensor[] = [];
  readonly #file: FileReader;
  readonly #contents: TorchFile;
  readonly #reader: TensorFileReader;
  /** By key and type, one-dimensional. They only lend their memory, and end with the surrounding scope. */
  readonly #storages = new Map<string, Tensor>();
  readonly #built = new Map<TensorReference, Tensor>();

  constructor(file: FileReader, contents: TorchFile) {
    this.#file = file;
    this.#contents = contents;
    this.#reader = new TensorFileReader(file);
  }

  /**
   * @param what names the tensor in errors
   * @throws SerializationError where no tensor here can stand for it
   */
  build(reference: TensorReference, what: string): Tensor {
    const known = this.#built.get(reference);
    if (known !== undefined) return known;
    const { storage, type, offset, shape, strides, requiresGrad, negated, obstacle } = reference;
    if (obstacle !== null) throw this.#refused(what, obstacle);
    const memory = this.#storage(storage, what);
    // As torch.load does: a tensor on the storage itself, not a view that autograd would follow to its base.
    let tensor = empty([0], { dtype: memory.dtype });
    aten.set_$source_Tensor_storage_offset(tensor, memory, storage.start + offset, shape, strides);
    const problem = type.obstacle?.(tensor) ?? null;
    if (problem !== null) throw this.#refused(what, problem);
    if (negated) tensor = noGrad(() => tensor.neg());
    if (requiresGrad) tensor.requiresGrad_();
    this.#built.set(reference, tensor);
    this.tensors.push(tensor);
    return tensor;
  }

  #storage({ key, type, numel }: StorageReference, what: string): Tensor {
    const known = this.#storages.get(`${type.name} ${key}`);
    if (known !== undefined) return known;
    if (type.raw === null) throw this.#refused(what, `is ${type.name}, which is not read`);
    const stored = this.#contents.storages.get(key);
    if (stored === undefined)
      throw new SerializationError(`${this.#file.path}: storage ${quoted(key)} is missing`);
    const raw = empty([numel], { dtype: type.raw });
    const { position, entry } = stored;
    const bytes = numel * (type.bits / 8);
    if (entry === null) this.#reader.fill(raw, position, bytes);
    else checkCrc(this.#file, entry, this.#reader.fillAndSum(raw, position, bytes));
    const tensor = type.widen?.(raw) ?? raw;
    this.#storages.set(`${type.name} ${key}`, tensor);
    return tensor;
  }

  #refused(what: string, problem: string): SerializationError {
    return new SerializationError(
      `${this.#file.path}: ${what} ${problem}; leave it out, or write it as another dtype`,
    );
  }
}
