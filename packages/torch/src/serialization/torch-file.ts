import type { PickleItem, StorageReference } from './pickle-values.js';
import type { ZipEntry } from './zip-reader.js';

/** A file that `torch.save` wrote: a pickle, and where each storage that it names has its bytes. */
export interface TorchFile {
  root: PickleItem;
  storages: Map<string, StoredBytes>;
}

export interface StoredBytes {
  storage: StorageReference;
  /** In the file. */
  position: number;
  /** The archive's entry, with a checksum; null in files before PyTorch 1.6. */
  entry: ZipEntry | null;
}
