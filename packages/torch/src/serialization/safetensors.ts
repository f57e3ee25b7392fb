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
} from './safetensors-header.js';
import { quoted, SerializationError } from './serialization-error.js';
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

/**
 * Reads a safetensors file into tensors on the CPU, straight into their memory. They belong to the innermost
 * open scope(), or else to the caller.
 *
 * @throws SerializationError where the file is missing, cut short, its header contradicts itself or the data,
 *   or its checksum, if it has one, says that a byte has changed.
 */
export function readSafetensors(path: string): SafetensorsContents {
  using file = new FileReader(path);
  const { entries, metadata, dataStart } = readSafetensorsHeader(file, new MemoryBudget(path, file.size));
  checkChecksum(file, metadata, dataStart);
  const reader = new TensorFileReader(file);
  const tensors = scope(() => {
    const made = new Map<string, Tensor>();
    for (const { name, type, shape, start, end } of entries) {
      const tensor = empty(shape, { dtype: type.dtype });
      reader.fill(tensor, dataStart + start, end - start);
      made.set(name, tensor);
    }
    return made;
  });
  return { tensors, metadata };
}

/**
 * Writes tensors (of any device and strides) as a safetensors file: whole, or not at all. The data starts at a
 * multiple of 64 bytes, and tensors with wide elements come first, so that each can be used in place.
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
    const type = elementType(tensor.dtype, `${path}: tensor ${quoted(name)}`);
    entries.push({ name, type, shape: tensor.shape, start: 0, end: tensor.numel() * type.bytes });
  }
  const inOrder = entries.toSorted((a, b) => b.type.bytes - a.type.bytes);
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
