import { empty } from '../creation.js';
import { scope } from '../scope.js';
import { aten, type Tensor } from '../tensor.js';
import { AtomicFile } from './atomic-file.js';
import { elementType } from './element-types.js';
import { FileReader } from './file-reader.js';
import { readLegacyTorchFile } from './legacy-torch-file.js';
import { MemoryBudget } from './memory-budget.js';
import { isReference } from './pickle-globals.js';
import type { Pickled, PickleItem, StorageReference, TensorReference } from './pickle-values.js';
import { encodeStateDict } from './pickle-writer.js';
import { quoted, SerializationError } from './serialization-error.js';
import { TensorFileReader, tensorBytes } from './tensor-file.js';
import { readTorchArchive } from './torch-archive.js';
import type { TorchFile } from './torch-file.js';
import { checkCrc, looksLikeZip } from './zip-reader.js';
import { ZipWriter } from './zip-writer.js';

/** Where checkpoints commonly keep the state dict beside other things. */
const STATE_DICT_KEYS = ['state_dict', 'model_state_dict', 'model'];

/**
 * Reads a state dict from a file of PyTorch's `torch.save`: the file's own dictionary, or the one under
 * `state_dict`, `model_state_dict` or `model`. Tensors come to the CPU, whatever device they were on, with
 * the strides they had; those that shared memory share it again.
 *
 * Nothing of the file is executed: it can hold tensors, parameters, numbers, text and containers, and a file
 * that asks for anything else is refused with the name of what it asks for.
 *
 * @returns tensors by name, which belong to the innermost open scope(), or else to the caller
 * @throws SerializationError where the file is missing, damaged, asks for more, or holds no state dict
 */
export function readPth(path: string): Map<string, Tensor> {
  using file = new FileReader(path);
  const contents = readContents(file);
  const references = findStateDict(path, contents.root);
  return scope(() => {
    const builder = new TensorBuilder(file, contents);
    return new Map([...references].map(([name, reference]) => [name, builder.build(reference)]));
  });
}

/**
 * Reads whatever a file of `torch.save` holds, under the same restrictions as {@link readPth}. Lists and
 * tuples are arrays, dictionaries maps; an object that appears twice in the file, or within itself, does so
 * in the result. Its tensors belong to the innermost open scope(), or else to the caller.
 *
 * @throws SerializationError where the file is missing, damaged, or asks for more
 */
export function readPickle(path: string): Pickled<Tensor> {
  using file = new FileReader(path);
  const contents = readContents(file);
  let value: Pickled<Tensor> = null;
  // The list of tensors, not the structure, is what scope() sees: it would follow cycles for ever.
  scope(() => {
    const builder = new TensorBuilder(file, contents);
    value = resolve(path, contents.root, builder);
    return builder.tensors;
  });
  return value;
}

/**
 * Writes a state dict that PyTorch's `torch.load` reads, also with `weights_only=True`: an OrderedDict of contiguous
 * tensors that require no gradient. A tensor that stands in the map twice is written once and shared. The file is
 * written whole, or not at all.
 *
 * @throws SerializationError where a tensor's dtype has no place in the format, or the file cannot be written.
 */
export function writePth(path: string, tensors: ReadonlyMap<string, Tensor>): void {
  const keys = new Map<Tensor, string>();
  const entries = [...tensors].map(([name, tensor]) => {
    const key = keys.get(tensor) ?? String(keys.size);
    keys.set(tensor, key);
    const type = elementType(tensor.dtype, `${path}: tensor ${quoted(name)}`);
    return { name, key, type, shape: tensor.shape };
  });
  using file = new AtomicFile(path);
  const zip = new ZipWriter(file);
  zip.add('archive/data.pkl', encodeStateDict(entries));
  zip.add('archive/byteorder', Buffer.from('little'));
  for (const [tensor, key] of keys) zip.add(`archive/data/${key}`, tensorBytes(tensor));
  zip.add('archive/version', Buffer.from('3\n'));
  zip.finish();
  file.commit();
}

/** Reads the pickle of either format, and checks that every storage it names is there in full. */
function readContents(file: FileReader): TorchFile {
  const budget = new MemoryBudget(file.path, file.size);
  return looksLikeZip(file) ? readTorchArchive(file, budget) : readLegacyTorchFile(file, budget);
}

function findStateDict(path: string, root: PickleItem): Map<string, TensorReference> {
  if (!(root instanceof Map)) {
    throw new SerializationError(
      `${path}: expected a state dict, found ${describe(root)}: readPickle() reads it`,
    );
  }
  const nested = STATE_DICT_KEYS.map((key) => root.get(key)).find((value) => value instanceof Map);
  const result = new Map<string, TensorReference>();
  for (const [name, value] of nested ?? root) {
    if (typeof name !== 'string' || !isReference(value) || value.kind !== 'tensor') {
      const entry = typeof name === 'string' ? quoted(name) : `of ${describe(name)}`;
      throw new SerializationError(
        `${path}: expected a state dict of tensors by name, but its entry ${entry} is ${describe(value)}: readPickle() reads it`,
      );
    }
    result.set(name, value);
  }
  return result;
}

function describe(item: PickleItem): string {
  if (item === null) return 'None';
  if (Array.isArray(item)) return 'a list';
  if (item instanceof Map) return 'a dictionary';
  if (item instanceof Set) return 'a set';
  if (item instanceof Uint8Array) return 'bytes';
  if (typeof item !== 'object') return `a ${typeof item}`;
  return `a ${item.kind}`;
}

/** Makes the tensors that a pickle describes; each storage is read once. */
class TensorBuilder {
  readonly tensors: Tensor[] = [];
  readonly #file: FileReader;
  readonly #contents: TorchFile;
  readonly #reader: TensorFileReader;
  /** By key, one-dimensional. They only lend their memory, and end with the surrounding scope. */
  readonly #storages = new Map<string, Tensor>();
  readonly #built = new Map<TensorReference, Tensor>();

  constructor(file: FileReader, contents: TorchFile) {
    this.#file = file;
    this.#contents = contents;
    this.#reader = new TensorFileReader(file);
  }

  build(reference: TensorReference): Tensor {
    const known = this.#built.get(reference);
    if (known !== undefined) return known;
    const { storage, offset, shape, strides, requiresGrad } = reference;
    // As torch.load does: a tensor on the storage itself, not a view that autograd would follow to its base.
    const tensor = empty([0], { dtype: storage.type.dtype });
    aten.set_$source_Tensor_storage_offset(
      tensor,
      this.#storage(storage),
      storage.start + offset,
      shape,
      strides,
    );
    if (requiresGrad) tensor.requiresGrad_();
    this.#built.set(reference, tensor);
    this.tensors.push(tensor);
    return tensor;
  }

  #storage({ key, type, numel }: StorageReference): Tensor {
    const known = this.#storages.get(key);
    if (known !== undefined) return known;
    const stored = this.#contents.storages.get(key);
    if (stored === undefined)
      throw new SerializationError(`${this.#file.path}: storage ${quoted(key)} is missing`);
    const tensor = empty([numel], { dtype: type.dtype });
    const { position, entry } = stored;
    const bytes = numel * type.bytes;
    if (entry === null) this.#reader.fill(tensor, position, bytes);
    else checkCrc(this.#file, entry, this.#reader.fillAndSum(tensor, position, bytes));
    this.#storages.set(key, tensor);
    return tensor;
  }
}

/** Puts tensors in the place of their references, in the containers themselves: cycles and shared parts stay. */
function resolve(path: string, root: PickleItem, builder: TensorBuilder): Pickled<Tensor> {
  type Container = PickleItem[] | Map<PickleItem, PickleItem> | Set<PickleItem>;
  const seen = new Set<Container>();
  const pending: Container[] = [];
  const visit = (item: PickleItem): Pickled<Tensor> => {
    if (Array.isArray(item) || item instanceof Map || item instanceof Set) {
      if (!seen.has(item)) {
        seen.add(item);
        pending.push(item);
      }
      return item as Pickled<Tensor>;
    }
    if (!isReference(item)) return item;
    if (item.kind === 'tensor') return builder.build(item);
    throw new SerializationError(
      `${path}: refused ${item.kind === 'storage' ? 'a storage' : item.name} by itself: only tensors, numbers, text and containers are read`,
    );
  };
  const result = visit(root);
  for (let container = pending.pop(); container !== undefined; container = pending.pop()) {
    if (Array.isArray(container)) {
      const items = container as Pickled<Tensor>[];
      for (const [index, item] of container.entries()) items[index] = visit(item);
    } else if (container instanceof Map) {
      const entries = container as Map<PickleItem, Pickled<Tensor>>;
      for (const [key, item] of container) {
        visit(key);
        entries.set(key, visit(item));
      }
    } else {
      for (const item of container) visit(item);
    }
  }
  return result;
}
