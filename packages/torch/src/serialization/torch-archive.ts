import type { FileReader } from './file-reader.js';
import type { MemoryBudget } from './memory-budget.js';
import { quoted, SerializationError } from './serialization-error.js';
import type { StoredBytes, TorchFile } from './torch-file.js';
import { Unpickler } from './unpickler.js';
import { readZip, readZipEntry, requireStored } from './zip-reader.js';

/** Since PyTorch 1.6: a zip archive with NAME/data.pkl, and NAME/data/KEY for each storage. */
export function readTorchArchive(file: FileReader, budget: MemoryBudget): TorchFile {
  const entries = readZip(file, budget);
  const pickles = [...entries.values()].filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) {
    throw new SerializationError(
      `${file.path}: expected one data.pkl in the archive, found ${pickles.length}: not a file of torch.save`,
    );
  }
  const folder = pickle.name.slice(0, pickle.name.indexOf('/') + 1);
  if (entries.has(`${folder}constants.pkl`)) {
    throw new SerializationError(
      `${file.path}: this is a TorchScript program; save its weights with torch.save(module.state_dict(), path)`,
    );
  }
  const byteOrder = entries.get(`${folder}byteorder`);
  if (byteOrder !== undefined && readZipEntry(file, byteOrder).toString('latin1').trim() !== 'little') {
    throw new SerializationError(
      `${file.path}: its numbers are big-endian; save it on a little-endian machine`,
    );
  }
  const unpickler = new Unpickler(readZipEntry(file, pickle), `${file.path}: data.pkl`, budget);
  const root = unpickler.load();
  const storages = new Map<string, StoredBytes>();
  for (const [key, storage] of unpickler.storages) {
    const entry = entries.get(`${folder}data/${key}`);
    const bytes = storage.numel * (storage.type.bits / 8);
    if (entry === undefined || entry.size !== bytes) {
      throw new SerializationError(
        `${file.path}: storage ${quoted(key)} of ${bytes} bytes ${entry === undefined ? 'is missing' : `has ${entry.size}`} in the archive`,
      );
    }
    requireStored(file, entry);
    storages.set(key, { storage, position: entry.start, entry });
  }
  return { root, storages };
}
