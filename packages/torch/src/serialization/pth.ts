import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { AtomicFile } from './atomic-file.js';
import { elementType } from './element-types.js';
import { FileReader } from './file-reader.js';
import { readLegacyTorchFile } from './legacy-torch-file.js';
import { MemoryBudget } from './memory-budget.js';
import { isReference } from './pickle-globals.js';
import type { Pickled, PickleItem, TensorReference } from './pickle-values.js';
import { encodeStateDict } from './pickle-writer.js';
import { quoted, SerializationError } from './serialization-error.js';
import { findStateDict, NO_CODE, wrongEntry } from './state-dict-search.js';
import { TensorBuilder } from './tensor-builder.js';
import { tensorBytes } from './tensor-file.js';
import { readTorchArchive } from './torch-archive.js';
import type { TorchFile } from './torch-file.js';
import { looksLikeZip } from './zip-reader.js';
import { ZipWriter } from './zip-writer.js';

export interface ReadPthOptions {
  /** Which tensors are wanted; all when left out. What is not wanted is not read, and may be of any kind. */
  only?: (name: string) => boolean;
}

/**
 * Reads a state dict from a file of PyTorch's `torch.save`: the file's own dictionary, or the one that a checkpoint
 * keeps under `state_dict`, `model`, `net` or another usual key. Tensors come to the CPU, whatever device they were
 * on, with the strides they had; those that shared memory share it again, except negated ones. 8-bit floats come as
 * float32, unsigned integers as the next wider kind with a sign.
 *
 * Nothing of the file is executed. Objects beside the state dict are passed over, whatever they are.
 *
 * @returns tensors by name, which belong to the innermost open scope(), or else to the caller
 * @throws SerializationError where the file is missing or damaged, holds no state dict, or the state dict holds what
 *   cannot be read: an object of another class, a complex tensor
 */
export function readPth(path: string, { only = () => true }: ReadPthOptions = {}): Map<string, Tensor> {
  using file = new FileReader(path);
  const contents = readContents(file);
  const { tensors, others } = findStateDict(path, contents.root);
  for (const [name, what] of others) if (only(name)) throw wrongEntry(path, quoted(name), what);
  return buildTensors(file, contents, tensors, only);
}

/** The tensors of a state dict that are wanted. */
export function buildTensors(
  file: FileReader,
  contents: TorchFile,
  references: ReadonlyMap<string, TensorReference>,
  only: (name: string) => boolean,
): Map<string, Tensor> {
  return scope(() => {
    const builder = new TensorBuilder(file, contents);
    const wanted = [...references].filter(([name]) => only(name));
    return new Map(
      wanted.map(([name, reference]) => [name, builder.build(reference, `tensor ${quoted(name)}`)]),
    );
  });
}

/**
 * Reads whatever a file of `torch.save` holds, without running anything of it. Lists and tuples are
 * arrays, dictionaries maps, a complex number is `[re, im]`; objects of other classes are refused by name; an object that appears twice in the file, or within itself, does so
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
export function readContents(file: FileReader): TorchFile {
  const budget = new MemoryBudget(file.path, file.size);
  return looksLikeZip(file) ? readTorchArchive(file, budget) : readLegacyTorchFile(file, budget);
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
    if (item.kind === 'tensor') return builder.build(item, 'a tensor');
    if (item.kind === 'storage')
      throw new SerializationError(`${path}: refused a storage by itself: ${NO_CODE}`);
    throw new SerializationError(`${path}: refused to load ${item.name}: ${NO_CODE}`);
  };
  const result = visit(root);
  for (let container = pending.pop(); container !== undefined; container = pending.pop()) {
    if (Array.isArray(container)) {
      const items = container as Pickled<Tensor>[];
      for (const [index, item] of container.entries()) items[index] = visit(item);
    } else if (container instanceof Map) {
      const entries = [...container];
      container.clear();
      const resolved = container as Map<Pickled<Tensor>, Pickled<Tensor>>;
      for (const [key, item] of entries) resolved.set(visit(key), visit(item));
    } else {
      const items = [...container];
      container.clear();
      const resolved = container as Set<Pickled<Tensor>>;
      for (const item of items) resolved.add(visit(item));
    }
  }
  return result;
}
