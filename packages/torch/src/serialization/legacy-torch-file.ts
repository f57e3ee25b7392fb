import type { FileReader } from './file-reader.js';
import type { MemoryBudget } from './memory-budget.js';
import type { PickleItem } from './pickle-values.js';
import { quoted, SerializationError } from './serialization-error.js';
import type { StoredBytes, TorchFile } from './torch-file.js';
import { TruncatedPickleError, Unpickler } from './unpickler.js';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** What is read at first: the pickles' length is nowhere written, but is seldom more. */
const FIRST_READ_BYTES = 1024 * 1024;

/**
 * The format before PyTorch 1.6, which torchvision's older files have: five pickles (magic number, protocol, a
 * description of the machine, the object, the keys of its storages), then each storage in the order of the keys:
 * its number of elements in 8 bytes, and the elements.
 */
export function readLegacyTorchFile(file: FileReader, budget: MemoryBudget): TorchFile {
  const { root, keys, unpickler } = readPickles(file, budget);
  if (!Array.isArray(keys)) throw new SerializationError(`${file.path}: the list of its storages is missing`);
  const storages = new Map<string, StoredBytes>();
  let position = unpickler.position;
  for (const key of keys) {
    const storage = typeof key === 'string' ? unpickler.storages.get(key) : undefined;
    if (storage === undefined || storages.has(storage.key)) {
      throw new SerializationError(
        `${file.path}: the list of its storages names one that does not exist, or one twice`,
      );
    }
    const numel = file.read(position, 8).readBigInt64LE();
    const bytes = storage.numel * (storage.type.bits / 8);
    if (numel !== BigInt(storage.numel) || position + 8 + bytes > file.size) {
      throw new SerializationError(
        `${file.path}: storage ${quoted(storage.key)} should have ${storage.numel} elements and has ${numel}, or the file is cut short`,
      );
    }
    storages.set(storage.key, { storage, position: position + 8, entry: null });
    position += 8 + bytes;
  }
  for (const key of unpickler.storages.keys()) {
    if (!storages.has(key)) throw new SerializationError(`${file.path}: storage ${quoted(key)} is missing`);
  }
  return { root, storages };
}

function readPickles(file: FileReader, budget: MemoryBudget) {
  for (let length = Math.min(FIRST_READ_BYTES, file.size); ; length = Math.min(4 * length, file.size)) {
    const unpickler = new Unpickler(file.read(0, length), `${file.path}: pickle`, budget);
    try {
      checkHead(file, unpickler);
      const root = unpickler.load();
      const keys = unpickler.load();
      return { root, keys, unpickler };
    } catch (error) {
      if (!(error instanceof TruncatedPickleError) || length === file.size) throw error;
    }
  }
}

function checkHead(file: FileReader, unpickler: Unpickler): void {
  let magic: PickleItem;
  try {
    magic = unpickler.load();
  } catch (error) {
    throw notTorch(file, error);
  }
  if (magic !== MAGIC) throw notTorch(file);
  const protocol = unpickler.load();
  if (protocol !== PROTOCOL) {
    throw new SerializationError(`${file.path}: expected protocol ${PROTOCOL} of torch.save, found another`);
  }
  const system = unpickler.load();
  if (!(system instanceof Map) || system.get('little_endian') !== true) {
    throw new SerializationError(`${file.path}: its numbers are not little-endian`);
  }
}

function notTorch(file: FileReader, cause?: unknown): SerializationError {
  return new SerializationError(
    `${file.path}: expected a file of torch.save, found neither its zip archive nor its older format: another format, or cut short`,
    { cause },
  );
}
