import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import {
  type ImageIndexContents,
  isSeenAlike,
  type Preprocessing,
  shareIn,
  UserError,
  whatWouldBeLost,
} from '@conquer/run';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@conquer/torch';
import { nearestNeighbours } from '../distances/nearest.js';
import { requireFiniteRows } from '../train/finite-rows.js';

const FORMAT = 'conquer-index-2';
/** Without what was seen of an image, and where folder and run lie from the file. */
const OLDER = 'conquer-index-1';

/** An image that was found. */
export interface Match {
  /** Of the image, in the index's folder: absolute. */
  path: string;
  /** Euclidean, between embeddings of length 1: 0 for the same, 2 for opposite ones. */
  distance: number;
}

/** A model whose embeddings are in an index, or are looked for in it: a TrainedModel is one. */
export interface IndexModel {
  /** Path of its run. */
  readonly run: string;
  /** SHA-256 of its checkpoint. */
  readonly sha256: string;
  readonly preprocessing: Preprocessing;
}

export interface OpenIndexOptions {
  /** Where the folder of images is now; by default where it was, or where it lies as seen from the file. */
  folder?: string | undefined;
}

/** Embeddings of a folder's images, searched exactly. */
export class ImageIndex {
  /** @param embeddings float32 (N, D) on the CPU, in the order of the files; they belong to the index */
  constructor(
    readonly contents: ImageIndexContents,
    readonly embeddings: Tensor,
  ) {
    if (embeddings.ndim !== 2 || embeddings.size(0) !== contents.files.size)
      throw new RangeError(
        `ImageIndex: expected (${contents.files.size}, D) embeddings, got [${embeddings.shape}]`,
      );
  }

  /** N. */
  get count(): number {
    return this.contents.files.size;
  }

  /**
   * Reads an index that `save` wrote; it belongs to the caller, who disposes it. Its folder and its run are found where they
   * were, or where they lie as seen from the file, if all were moved together.
   *
   * @throws UserError when the file is missing, damaged, or no index, or the folder that is given is another one
   */
  static open(file: string, { folder: given }: OpenIndexOptions = {}): ImageIndex {
    let read: ReturnType<typeof readSafetensors>;
    try {
      read = readSafetensors(file);
    } catch (error) {
      throw new UserError(`the index cannot be read: ${(error as Error).message}`);
    }
    const { tensors, metadata } = read;
    const [embeddings, paths, stamps] = ['embeddings', 'paths', 'stamps'].map((name) => tensors.get(name));
    const { format, folder, run, sha256, checkpoint } = metadata;
    const whole = embeddings && paths && stamps && folder && run && sha256;
    if ((format !== FORMAT && format !== OLDER) || !whole) {
      for (const value of tensors.values()) value.dispose();
      throw new UserError(
        `${file} is no index of images: expected one that conquer index wrote (${FORMAT}), got ${format ?? 'another file'}`,
      );
    }
    const names = new TextDecoder().decode(paths.toTypedArray() as Uint8Array).split('\0');
    const numbers = stamps.toTypedArray() as Float64Array;
    const files = new Map(
      names.map((name, i) => [name, { size: numbers[2 * i]!, modified: numbers[2 * i + 1]! }]),
    );
    paths.dispose();
    stamps.dispose();
    if (given !== undefined && shareIn(given, files) === 0) {
      embeddings.dispose();
      throw new UserError(`${resolve(given)} holds none of the ${files.size} images of ${file}`);
    }
    try {
      if (embeddings.ndim !== 2 || embeddings.size(0) !== files.size || numbers.length !== 2 * files.size)
        throw new UserError(
          `it holds ${files.size} paths, ${numbers.length} stamps and embeddings [${embeddings.shape}]`,
        );
      requireFiniteRows(embeddings, (row) => names[row]!);
      const fromHere = (path: string | undefined) =>
        path === undefined ? [] : [resolve(dirname(file), path)];
      const folders = [folder, ...fromHere(metadata.relative_folder)];
      const runs = [run, ...fromHere(metadata.relative_run)];
      return new ImageIndex(
        {
          folder: given === undefined ? likeliest(folders, files) : resolve(given),
          run: runs.find((path) => existsSync(path)) ?? run,
          sha256,
          checkpoint: checkpoint === 'last' ? 'last' : 'best',
          preprocessing: metadata.preprocessing
            ? (JSON.parse(metadata.preprocessing) as Preprocessing)
            : null,
          files,
        },
        embeddings,
      );
    } catch (error) {
      embeddings.dispose();
      throw new UserError(`${file}: ${(error as Error).message}; index the folder again`);
    }
  }

  /**
   * Sees to it that embeddings of a model are of use here.
   * @throws UserError where they would be compared with others: of other weights, or of images seen otherwise
   */
  requireModel({ run, sha256, preprocessing }: IndexModel): void {
    if (sha256 !== this.contents.sha256)
      throw new UserError(
        `the index was made with other weights than ${run} has now (it was trained on): run conquer index again`,
      );
    if (!isSeenAlike(this.contents.preprocessing, preprocessing))
      throw new UserError(
        `the index was made of images as ${run} does not see them (its settings changed, or an earlier version made it): run conquer index again`,
      );
  }

  /**
   * Writes one safetensors file, whole or not at all: `embeddings` (N, D), `paths` (UTF-8, between zeros, relative to the
   * folder), `stamps` (N, 2). docs/search.md has its metadata.
   *
   * @throws UserError where the file holds something else: an index of another folder or model, or no index
   * @throws SerializationError when it cannot be written
   */
  save(file: string): void {
    const { files, folder, run, sha256, checkpoint, preprocessing } = this.contents;
    const here = dirname(resolve(file));
    if (existsSync(file)) {
      using there = ImageIndex.open(file);
      const lost = whatWouldBeLost(there.contents, this.contents, here);
      if (lost !== null) throw new UserError(`${file} is ${lost}: it is not written over, give another file`);
    }
    using paths = tensor(new TextEncoder().encode([...files.keys()].join('\0')));
    const numbers = [...files.values()].flatMap(({ size, modified }) => [size, modified]);
    using stamps = tensor(Float64Array.from(numbers), { shape: [files.size, 2] });
    const tensors = new Map([
      ['embeddings', this.embeddings],
      ['paths', paths],
      ['stamps', stamps],
    ]);
    const metadata = {
      format: preprocessing ? FORMAT : OLDER,
      folder,
      run,
      sha256,
      checkpoint,
      relative_folder: relative(here, folder),
      relative_run: relative(here, run),
      ...(preprocessing && { preprocessing: JSON.stringify(preprocessing) }),
    };
    writeSafetensors(file, tensors, metadata, { checksum: true });
  }

  /**
   * The exact nearest images of each query.
   *
   * @param queries (Q, D) on the CPU, embedded by the model of this index; rows of length 1
   * @param model that embedded them, to be sure of it
   * @returns for each query k matches, nearest first; fewer where the index has fewer images
   * @throws RangeError unless k is a positive integer, or for another D; UserError where the model is another one
   */
  search(queries: Tensor, k: number, model?: IndexModel): Match[][] {
    if (model) this.requireModel(model);
    const names = [...this.contents.files.keys()];
    const found = nearestNeighbours(queries, this.embeddings, k);
    return Array.from({ length: queries.size(0) }, (_, query) =>
      Array.from({ length: found.k }, (_, rank) => ({
        path: join(this.contents.folder, names[found.indices[query * found.k + rank]!]!),
        distance: found.distances[query * found.k + rank]!,
      })),
    );
  }

  /** Frees the embeddings. */
  dispose(): void {
    this.embeddings.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The folder that holds most of the files, the first of equals. */
function likeliest(folders: readonly string[], files: ImageIndexContents['files']): string {
  const shares = [...new Set(folders)].map((folder) => ({ folder, share: shareIn(folder, files) }));
  return shares.reduce((best, next) => (next.share > best.share ? next : best)).folder;
}
