import { join, sep } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { foundImages } from '../datasets/found-images.js';
import { imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';
import { embedInPortions, type PortionOptions, removeKeptRows } from './embed-in-portions.js';
import type { Embedder } from './embedder.js';
import { formatOf } from './embeddings/embedding-formats.js';
import { isIn, type Shard, shardFile } from './embeddings/shard.js';

export interface EmbedFolderOptions extends Omit<PortionOptions, 'keepIn'> {
  /** The file to write, of a kind that its name says; of a shard its name is `shardFile`'s. */
  out: string;
  /** Only these images; all when left out. */
  shard?: Shard | null;
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
  const { shard = null } = options;
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
  const keepIn = `${file}.partial`;
  const paths = wanted.map((image) => join(folder, image.path));
  const { rows, bad, kept } = await embedInPortions(
    embedder,
    wanted.map((stamp, n) => ({ image: paths[n]!, file: { path: paths[n]!, stamp } })),
    { ...options, keepIn },
  );
  if (wanted.length > 0 && bad.size === wanted.length)
    throw new UserError(`${folder}: none of its ${wanted.length} images can be read`);
  const isGood = (_: unknown, n: number) => !bad.has(n);
  const ids = wanted.map(({ id }) => id).filter(isGood);
  const { dim, id } = embedder;
  await format.write(file, { ids, paths: paths.filter(isGood), rows, dim, embedder: id });
  removeKeptRows(keepIn);
  return { file, images: ids.length, kept, leftOut };
}
