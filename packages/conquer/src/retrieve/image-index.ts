import { join } from 'node:path';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@conquer/torch';
import { nearestNeighbours } from '../distances/nearest.js';
import { UserError } from '../error.js';
import { requireFiniteRows } from '../train/finite-rows.js';
import type { FileStamp } from './image-files.js';

const FORMAT = 'conquer-index-1';

/** What an index is of, besides its embeddings. */
export interface ImageIndexContents {
  /** Absolute path of the folder of images. */
  folder: string;
  /** Absolute path of the run whose model embedded them. */
  run: string;
  /** SHA-256 of that model's checkpoint. */
  sha256: string;
  /** Which of the run's checkpoints that is. */
  checkpoint: 'best' | 'last';
  /** Of N images: their stamps by path, relative to the folder. */
  files: ReadonlyMap<string, FileStamp>;
}

/** An image that was found. */
export interface Match {
  /** Of the image, in the index's folder: absolute. */
  path: string;
  /** Euclidean, between embeddings of length 1: 0 for the same, 2 for opposite ones. */
  distance: number;
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
   * Reads an index that `save` wrote; it belongs to the caller, who disposes it.
   * @throws UserError when the file is missing, damaged, or no index
   */
  static open(file: string): ImageIndex {
    let read: ReturnType<typeof readSafetensors>;
    try {
      read = readSafetensors(file);
    } catch (error) {
      throw new UserError(`the index cannot be read: ${(error as Error).message}`);
    }
    const { tensors, metadata } = read;
    const [embeddings, paths, stamps] = ['embeddings', 'paths', 'stamps'].map((name) => tensors.get(name));
    const { folder, run, sha256, checkpoint } = metadata;
    const whole = embeddings && paths && stamps && folder && run && sha256;
    if (metadata.format !== FORMAT || !whole) {
      for (const value of tensors.values()) value.dispose();
      throw new UserError(
        `${file} is no index of images: expected one that conquer index wrote (${FORMAT}), got ${metadata.format ?? 'another file'}`,
      );
    }
    const names = new TextDecoder().decode(paths.toTypedArray() as Uint8Array).split('\0');
    const numbers = stamps.toTypedArray() as Float64Array;
    const files = new Map(
      names.map((name, i) => [name, { size: numbers[2 * i]!, modified: numbers[2 * i + 1]! }]),
    );
    paths.dispose();
    stamps.dispose();
    try {
      if (embeddings.ndim !== 2 || embeddings.size(0) !== files.size || numbers.length !== 2 * files.size)
        throw new UserError(
          `it holds ${files.size} paths, ${numbers.length} stamps and embeddings [${embeddings.shape}]`,
        );
      requireFiniteRows(embeddings, (row) => names[row]!);
    } catch (error) {
      embeddings.dispose();
      throw new UserError(`${file}: ${(error as Error).message}; index the folder again`);
    }
    const which = checkpoint === 'last' ? 'last' : 'best';
    return new ImageIndex({ folder, run, sha256, checkpoint: which, files }, embeddings);
  }

  /**
   * Writes one safetensors file, whole or not at all: `embeddings` (N, D), `paths` (UTF-8, between zeros),
   * `stamps` (N, 2).
   * @throws SerializationError when it cannot be written
   */
  save(file: string): void {
    const { files, folder, run, sha256, checkpoint } = this.contents;
    using paths = tensor(new TextEncoder().encode([...files.keys()].join('\0')));
    const numbers = [...files.values()].flatMap(({ size, modified }) => [size, modified]);
    using stamps = tensor(Float64Array.from(numbers), { shape: [files.size, 2] });
    const tensors = new Map([
      ['embeddings', this.embeddings],
      ['paths', paths],
      ['stamps', stamps],
    ]);
    writeSafetensors(file, tensors, { format: FORMAT, folder, run, sha256, checkpoint }, { checksum: true });
  }

  /**
   * The exact nearest images of each query.
   *
   * @param queries (Q, D) on the CPU, embedded by the model of this index; rows of length 1
   * @returns for each query k matches, nearest first; fewer where the index has fewer images
   * @throws RangeError unless k is a positive integer, or for another D
   */
  search(queries: Tensor, k: number): Match[][] {
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
