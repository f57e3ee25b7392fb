import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { foundImages } from '../datasets/found-images.js';
import { type ImageFile, imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';
import type { Embedder } from './embedder.js';
import { formatOf } from './embeddings/embedding-formats.js';
import type { EmbeddingTable } from './embeddings/embedding-table.js';
import { safetensorsFormat } from './embeddings/safetensors-format.js';
import { isIn, type Shard, shardFile } from './embeddings/shard.js';

/** Images whose rows are kept together while others are still to be embedded: what an interruption costs at most. */
const PORTION = 1024;

export interface EmbedFolderOptions {
  /** The file to write, of a kind that its name says; of a shard its name is `shardFile`'s. */
  out: string;
  /** Only these images; all when left out. */
  shard?: Shard | null;
  /** Images that cannot be read are left out (default), or end it. */
  onBadImage?: 'skip' | 'fail';
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Images of a batch; default 64. */
  batchSize?: number | undefined;
  /** Ends the work early; what is done is kept, for the next call. */
  signal?: AbortSignal | undefined;
  /** Images that were embedded or left out so far, those before an interruption among them. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Told of images that cannot be read and are left out, a line each. */
  onWarning?: (message: string) => void;
}

export interface EmbeddedFolder {
  file: string;
  /** Rows in it. */
  images: number;
  /** Of these, how many were there from an interrupted call. */
  kept: number;
  /** What lies in the folder and is in no shard. */
  leftOut: LeftOut;
}

/**
 * Embeds the images in a folder and its subfolders into a file of ids, paths and rows, in the order of the ids. Called again after
 * an interruption, it goes on where it was, with the images as they are then.
 *
 * @throws UserError when it is no folder, holds no image, none can be read, or the file cannot be written
 * @throws ImageError naming the first image that cannot be read, if these are not left out
 * @throws Interrupted after `signal` was aborted
 */
export async function embedFolder(
  embedder: Embedder,
  path: string,
  options: EmbedFolderOptions,
): Promise<EmbeddedFolder> {
  const { shard = null, onProgress } = options;
  const format = formatOf(options.out);
  const { folder, images, leftOut } = await foundImages(path);
  if (images.length === 0)
    throw new UserError(
      `${folder}: expected images in it or its subfolders (${imageExtensions.join(', ')}), found none`,
    );
  const file = shard === null ? options.out : shardFile(options.out, shard);
  const wanted = images
    .map((image) => ({ ...image, id: image.path.split(sep).join('/') }))
    .filter(({ id }) => shard === null || isIn(shard, id))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const portions = Array.from({ length: Math.ceil(wanted.length / PORTION) }, (_, i) =>
    wanted.slice(i * PORTION, (i + 1) * PORTION),
  );
  const work = new PortionFolder(`${file}.partial`, embedder);
  const tables: EmbeddingTable[] = [];
  let kept = 0;
  let done = 0;
  for (const portion of portions) {
    const before = work.find(portion);
    const table =
      before ?? (await embedPortion(embedder, folder, portion, { ...options, done, total: wanted.length }));
    if (before === null) work.keep(portion, table);
    else kept += table.ids.length;
    tables.push(table);
    done += portion.length;
    onProgress?.({ done, total: wanted.length });
  }
  const whole = joined(tables, embedder);
  if (whole.ids.length === 0 && wanted.length > 0) {
    // Portions without a row are nothing to go on with.
    work.remove();
    throw new UserError(`${folder}: none of its ${wanted.length} images can be read`);
  }
  await format.write(file, whole);
  work.remove();
  return { file, images: whole.ids.length, kept, leftOut };
}

type Wanted = ImageFile & { id: string };

async function embedPortion(
  embedder: Embedder,
  folder: string,
  portion: readonly Wanted[],
  options: EmbedFolderOptions & { done: number; total: number },
): Promise<EmbeddingTable> {
  const { onBadImage = 'skip', threads, batchSize, signal, onProgress, onWarning, done, total } = options;
  const bad = new Set<number>();
  const paths = portion.map((image) => join(folder, image.path));
  const rows = await embedder.embed(paths, {
    threads,
    batchSize,
    signal,
    onProgress: (count) => onProgress?.({ done: done + count + bad.size, total }),
    ...(onBadImage === 'skip' && {
      onBad: (error: Error, place: number) => {
        bad.add(place);
        onWarning?.(`${error.message}; it is left out`);
      },
    }),
  });
  const isGood = (_: unknown, place: number) => !bad.has(place);
  return {
    ids: portion.map(({ id }) => id).filter(isGood),
    paths: paths.filter(isGood),
    rows,
    dim: embedder.dim,
    embedder: embedder.id,
  };
}

function joined(tables: readonly EmbeddingTable[], { id, dim }: Embedder): EmbeddingTable {
  const ids = tables.flatMap((table) => table.ids);
  const rows = new Float32Array(ids.length * dim);
  let at = 0;
  for (const table of tables) {
    rows.set(table.rows, at);
    at += table.rows.length;
  }
  return { ids, paths: tables.flatMap((table) => table.paths), rows, dim, embedder: id };
}

/** Portions that are done, each in a file that is named after what it is of: other images or another model find nothing. */
class PortionFolder {
  constructor(
    private readonly folder: string,
    private readonly embedder: Embedder,
  ) {}

  find(portion: readonly Wanted[]): EmbeddingTable | null {
    const file = this.fileOf(portion);
    return existsSync(file) ? (safetensorsFormat.read(file) as EmbeddingTable) : null;
  }

  keep(portion: readonly Wanted[], table: EmbeddingTable): void {
    mkdirSync(this.folder, { recursive: true });
    void safetensorsFormat.write(this.fileOf(portion), table);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private fileOf(portion: readonly Wanted[]): string {
    const { id, view } = this.embedder;
    const hash = createHash('sha256').update(JSON.stringify([id, view]));
    for (const image of portion) hash.update(`${image.id}\0${image.size}\0${image.modified}\0`);
    return join(this.folder, `${hash.digest('hex').slice(0, 32)}.safetensors`);
  }
}
