import { relative, resolve, sep } from 'node:path';
import { classFolderOf, type FolderParts, partOf } from './folder-parts.js';
import { findImages, type ImageFile } from './image-tree.js';
import { LeftOut } from './left-out.js';
import { readShards } from './read-shards.js';
import { type ShardKind, shardFiles, shardKindNamed, shardKindOf } from './shard-files.js';

/** Images of one's own, however they are kept, and what is known of them. */
export interface FoundImages {
  /** Absolute. */
  folder: string;
  /** With the stamps of their files. */
  images: ImageFile[];
  leftOut: LeftOut;
  /** The class of an image by its path; null: none is said. */
  classOf: (path: string) => string | null;
  /** The part of a data set that it is in; null: it is not divided. */
  partOf: (path: string) => keyof FolderParts | null;
}

/**
 * The images of a folder and its subfolders, or where it holds none but shards, of these; also of shards that a pattern names.
 *
 * @throws UserError where it is no folder, or shards cannot be read
 */
export async function foundImages(path: string): Promise<FoundImages> {
  const named = shardKindNamed(path);
  if (named) return await inShards(named, path);
  const folder = resolve(path);
  const { images, leftOut } = await findImages(folder);
  const kind = images.length === 0 ? await shardKindOf(folder) : null;
  if (kind) return await inShards(kind, folder);
  return {
    ...{ folder, images, leftOut },
    classOf: classFolderOf(images.map((image) => image.path)),
    partOf: (image) => partOf(image.split(sep)[0]!),
  };
}

/** The folder that they are said to lie in, absolute. */
export async function folderOfImages(path: string): Promise<string> {
  const named = shardKindNamed(path);
  return named ? (await shardFiles(named, path)).folder : resolve(path);
}

async function inShards(kind: ShardKind, path: string): Promise<FoundImages> {
  const { folder, shards } = await readShards(kind, path, { image: null, label: null });
  const images: ImageFile[] = [];
  const known = new Map<string, { name: string | null; part: keyof FolderParts | null }>();
  const leftOut = new LeftOut();
  for (const { file, part, images: found } of shards) {
    const { size, modified } = file;
    for (const [i, image] of found.paths.entries()) {
      const inFolder = relative(folder, image);
      images.push({ path: inFolder, size, modified });
      known.set(inFolder, { name: found.classNames[found.labels[i]!] ?? null, part });
    }
    for (let i = 0; i < found.withoutImage; i++) leftOut.addFile('samples without an image', file.path);
  }
  return {
    ...{ folder, images, leftOut },
    classOf: (image) => known.get(image)?.name ?? null,
    partOf: (image) => known.get(image)?.part ?? null,
  };
}
