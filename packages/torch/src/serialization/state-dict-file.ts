import type { Tensor } from '../tensor.js';
import { FileReader } from './file-reader.js';
import { MemoryBudget } from './memory-budget.js';
import { buildTensors, readContents } from './pth.js';
import { readEntries } from './safetensors.js';
import { looksLikeSafetensors, readSafetensorsHeader } from './safetensors-header.js';
import { quoted, SerializationError } from './serialization-error.js';
import { findStateDict } from './state-dict-search.js';
import { looksLikeZip } from './zip-reader.js';

/** What a file says of one of its tensors. */
export interface StoredTensor {
  /** PyTorch's name of its dtype in the file, e.g. 'float8_e4m3fn'. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

interface Contents {
  tensors: ReadonlyMap<string, StoredTensor>;
  metadata: Readonly<Record<string, string>>;
  others: ReadonlyMap<string, string>;
  path: readonly string[];
  passedOver: readonly string[];
  read: (only: (name: string) => boolean) => Map<string, Tensor>;
}

/**
 * A file of weights, open: of `torch.save` or safetensors, told apart by what is in it, whatever its name. It says what
 * there is before any tensor is read.
 */
export class StateDictFile {
  readonly #file: FileReader;
  readonly #contents: Contents;

  /**
   * @throws SerializationError where the file is missing, damaged, of another kind, or holds no state dict (see
   *   readPth)
   */
  constructor(path: string) {
    this.#file = new FileReader(path);
    try {
      this.#contents = open(this.#file);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** By name, in the order of the file. */
  get tensors(): ReadonlyMap<string, StoredTensor> {
    return this.#contents.tensors;
  }

  /** Of a safetensors file; else empty. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#contents.metadata;
  }

  /** Entries of the state dict that are no tensors, and what they are: 'a number'. */
  get others(): ReadonlyMap<string, string> {
    return this.#contents.others;
  }

  /** The keys that lead to the state dict in a checkpoint; empty where it is the whole file. */
  get path(): readonly string[] {
    return this.#contents.path;
  }

  /** Keys of the checkpoint under which there are other state dicts. */
  get passedOver(): readonly string[] {
    return this.#contents.passedOver;
  }

  /**
   * Reads the tensors that are wanted, which belong to the innermost open scope(), or else to the caller.
   *
   * @throws SerializationError where one of them cannot be read, or the file is damaged
   */
  read(only: (name: string) => boolean = () => true): Map<string, Tensor> {
    return this.#contents.read(only);
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

function open(file: FileReader): Contents {
  if (!looksLikeZip(file) && looksLikeSafetensors(file)) {
    const header = readSafetensorsHeader(file, new MemoryBudget(file.path, file.size));
    return {
      tensors: new Map(header.entries.map(({ name, type, shape }) => [name, { dtype: type.name, shape }])),
      metadata: header.metadata,
      ...{ others: new Map(), path: [], passedOver: [] },
      read: (only) => readEntries(file, header, only),
    };
  }
  refuseOtherKinds(file);
  const contents = readContents(file);
  const { tensors, ...found } = findStateDict(file.path, contents.root);
  return {
    ...found,
    tensors: new Map([...tensors].map(([name, { type, shape }]) => [name, { dtype: type.name, shape }])),
    metadata: {},
    read: (only) => buildTensors(file, contents, tensors, only),
  };
}

/** What is often taken for weights, by how it starts. */
const OTHER_KINDS: [RegExp, string][] = [
  [/^version https:\/\/git-lfs/, 'a pointer of Git LFS: fetch the file itself with git lfs pull'],
  [/^\s*<(!doctype|html|\?xml)/i, 'a web page: download the file itself'],
  [/^.\x8b/s, 'a gzip archive: unpack it first'],
  [/^BZh/, 'a bzip2 archive: unpack it first'],
  [/^7z\xbc\xaf/, 'a 7z archive: unpack it first'],
  [/^.{257}ustar/s, 'a tar archive: unpack it first'],
  [/^\x89HDF/, 'an HDF5 file of Keras or TensorFlow: convert it first'],
  [/^\x93NUMPY/, 'an array of NumPy: convert it first'],
  [/^\s*[[{]/, 'JSON'],
];

function refuseOtherKinds(file: FileReader): void {
  const head = file.read(0, Math.min(512, file.size)).toString('latin1');
  const [, kind] = OTHER_KINDS.find(([start]) => start.test(head)) ?? [];
  if (looksLikeZip(file) || head.startsWith('\x80')) return;
  throw new SerializationError(
    `${file.path}: expected a file of torch.save or safetensors, found ${kind ?? (file.size === 0 ? 'an empty file' : `something else, which begins with ${quoted(head.slice(0, 16))}`)}`,
  );
}
