import { empty } from '../creation.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { AtomicFile } from './atomic-file.js';
import { Checksum, checkChecksum } from './checksum.js';
import { elementType } from './element-types.js';
import { FileReader } from './file-reader.js';
import { MemoryBudget } from './memory-budget.js';
import {
  encodeSafetensorsHeader,
  readSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from './safetensors-header.js';
import { quoted, SerializationError } from './serialization-error.js';
import { type StoredType, storedTypesByName } from './stored-type.js';
import { TensorFileReader, tensorBytes } from './tensor-file.js';

/** What a safetensors file holds: its tensors in the order of its header, and free text by key. */
export interface SafetensorsContents {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

export interface WriteSafetensorsOptions {
  /** Keeps a checksum of the whole file in its metadata, which `readSafetensors` then checks. Default false. */
  checksum?: boolean;
}

export interface ReadSafetensorsOptions {
  /** Which tensors are wanted; all when left out. What is not wanted is not read, and may be of any dtype. */
  only?: (name: string) => boolean;
}

/**
 * Reads a safetensors file into tensors on the CPU, straight into their memory. They belong to the innermost
 * open scope(), or else to the caller. 8-bit floats come as float32, unsigned integers as the next wider kind with a
 * sign.
 *
 * @throws SerializationError where the file is missing, cut short, its header contradicts itself or the data,
 *   its checksum, if it has one, says that a byte has changed, or a tensor is of a dtype that is not read (complex,
 *   4 and 6 bits).
 */
export function readSafetensors(
  path: string,
  { only = () => true }: ReadSafetensorsOptions = {},
): SafetensorsContents {
  using file = new FileReader(path);
  const header = readSafetensorsHeader(file, new MemoryBudget(path, file.size));
  return { tensors: readEntries(file, header, only), metadata: header.metadata };
}

/** The tensors of a header that are wanted, after a look at the checksum. */
export function readEntries(
  file: FileReader,
  { entries, metadata, dataStart }: SafetensorsHeader,
  only: (name: string) => boolean,
): Map<string, Tensor> {
  checkChecksum(file, metadata, dataStart);
  const reader = new TensorFileReader(file);
  return scope(() => {
    const made = new Map<string, Tensor>();
    for (const { name, type, shape, start, end } of entries) {
      if (!only(name)) continue;
      const refuse = (problem: string) =>
        new SerializationError(
          `${file.path}: tensor ${quoted(name)} ${problem}; leave it out, or write it as another dtype`,
        );
      if (type.raw === null) throw refuse(`is ${type.name}, which is not read`);
      const raw = empty(shape, { dtype: type.raw });
      reader.fill(raw, dataStart + start, end - start);
      const tensor = type.widen?.(raw.flatten()).view(shape) ?? raw;
      const problem = type.obstacle?.(tensor) ?? null;
      if (problem !== null) throw refuse(problem);
      made.set(name, tensor);
    }
    return made;
  });
}

/**
 * Writes tensors (of any device and strides) as a safetensors file: whole, or not at all. The data starts at a
 * multiple of 64 bytes, and tensors with wide elements come first, so that each can be used in place; within a dtype they
 * stand by name. That is the order of the format's own library (0.8).
 *
 * @throws SerializationError where a tensor's dtype has no place in the format, or the file cannot be written.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
  { checksum = false }: WriteSafetensorsOptions = {},
): void {
  for (const [key, text] of Object.entries(metadata)) {
    if (typeof text !== 'string') {
      throw new SerializationError(
        `${path}: the metadata ${quoted(key)} must be a string, got ${typeof text}`,
      );
    }
  }
  const entries: SafetensorsEntry[] = [];
  for (const [name, tensor] of tensors) {
    if (name === '__metadata__')
      throw new SerializationError(`${path}: a tensor cannot be named '__metadata__'`);
    elementType(tensor.dtype, `${path}: tensor ${quoted(name)}`);
    const type = storedTypesByName.get(tensor.dtype) as StoredType;
    entries.push({ name, type, shape: tensor.shape, start: 0, end: (tensor.numel() * type.bits) / 8 });
  }
  const inOrder = entries.toSorted(byDtypeAndName);
  let position = 0;
  for (const entry of inOrder) {
    entry.start = position;
    entry.end += position;
    position = entry.end;
  }
  using file = new AtomicFile(path);
  const sum = checksum ? new Checksum() : null;
  const write = (bytes: Uint8Array) => {
    file.write(bytes);
    sum?.add(bytes);
  };
  write(encodeSafetensorsHeader(entries, { ...sum?.metadata, ...metadata }));
  for (const { name } of inOrder) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) write(tensorBytes(tensor));
  }
  if (sum) file.overwrite(sum.position, sum.digits());
  file.commit();
}

/** The dtypes in the order in which the format's own library writes them. */
const WRITING_ORDER = ['I64', 'F64', 'F32', 'I32', 'BF16', 'F16', 'I16', 'I8', 'U8', 'BOOL'];

function byDtypeAndName(a: SafetensorsEntry, b: SafetensorsEntry): number {
  const rank = ({ type }: SafetensorsEntry) => WRITING_ORDER.indexOf(type.safetensors ?? '');
  return rank(a) - rank(b) || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}
