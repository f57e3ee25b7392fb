import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { StateDictFile, type StoredTensor, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { isIndex, pretrainedFiles } from './pretrained-files.js';
import { firstThree } from './weight-faults.js';

/** Weights on the disk, open, before any of them is read: of one file or of several. */
export type StoredWeights = Pick<
  StateDictFile,
  'tensors' | 'metadata' | 'others' | 'path' | 'passedOver' | 'read'
> &
  Disposable;

/**
 * Opens a file of weights, the list of the files that hold their parts (`model.safetensors.index.json`), or the folder of
 * either.
 *
 * @throws UserError where nothing of that kind is there; SerializationError where a file cannot be read
 */
export function openStoredWeights(path: string): StoredWeights {
  const file = statSync(path).isDirectory() ? weightsIn(path) : path;
  return isIndex(file) ? new ShardedWeights(file) : new StateDictFile(file);
}

/** The file of weights of a folder, or the list of its parts. @throws UserError where there is none, or several could be */
export function weightsIn(folder: string): string {
  return join(folder, pretrainedFiles(readdirSync(folder), folder).weights);
}

/** The files that a path stands for, all of which hold weights. */
export function weightFilesOf(path: string): string[] {
  const file = statSync(path).isDirectory() ? weightsIn(path) : path;
  return isIndex(file) ? shardsOf(file).map((shard) => join(dirname(file), shard)) : [file];
}

const indexSchema = z.object({
  weight_map: z.record(z.string(), z.string().regex(/^[^/\\]*[^/\\.][^/\\]*$/)),
});

/** Of each tensor the file that holds it. @throws UserError for what is no list of parts */
function weightMapOf(index: string): Map<string, string> {
  try {
    return new Map(Object.entries(indexSchema.parse(JSON.parse(readFileSync(index, 'utf8'))).weight_map));
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError)
      throw new UserError(
        `${index}: expected a list of files beside it (a 'weight_map' of names), it is none`,
      );
    throw error;
  }
}

/** The names of the files that a list of parts names. */
export const shardsOf = (index: string): string[] => [...new Set(weightMapOf(index).values())].sort();

/** Weights in several files beside the list of them. */
class ShardedWeights implements StoredWeights {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata = {};
  readonly others: ReadonlyMap<string, string> = new Map();
  readonly path: readonly string[] = [];
  readonly passedOver: readonly string[] = [];
  private readonly files = new Map<string, StateDictFile>();
  private readonly fileOf: ReadonlyMap<string, string>;

  /** @throws UserError where a part is missing, or has not what the list says */
  constructor(index: string) {
    const folder = dirname(index);
    this.fileOf = weightMapOf(index);
    try {
      const absent = shardsOf(index).filter((shard) => !existsSync(join(folder, shard)));
      if (absent.length > 0) throw new UserError(`${index}: missing beside it: ${firstThree(absent)}`);
      const tensors = new Map<string, StoredTensor>();
      for (const [name, shard] of this.fileOf) {
        const stored = this.fileNamed(join(folder, shard), shard).tensors.get(name);
        if (stored === undefined) throw new UserError(`${index}: ${shard} does not hold ${name}`);
        tensors.set(name, stored);
      }
      this.tensors = tensors;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  read(only: (name: string) => boolean = () => true): Map<string, Tensor> {
    const read = new Map<string, Tensor>();
    for (const [shard, file] of this.files)
      for (const [name, value] of file.read((name) => this.fileOf.get(name) === shard && only(name)))
        read.set(name, value);
    return read;
  }

  private fileNamed(path: string, shard: string): StateDictFile {
    const open = this.files.get(shard) ?? new StateDictFile(path);
    this.files.set(shard, open);
    return open;
  }

  [Symbol.dispose](): void {
    for (const file of this.files.values()) file[Symbol.dispose]();
  }
}
