import { sep } from 'node:path';
import { type FileStamp, UserError } from '@conquer-dml/run';
import { foundImages } from '../datasets/found-images.js';
import { imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';
import type { AnyIndex } from './any-index.js';
import type { Embedder } from './embedder.js';
import type { ImageIndex } from './image-index.js';
import {
  type IndexItemsOptions,
  type ItemToIndex,
  indexItems,
  isInFolder,
  knownItems,
  usable,
} from './index-items.js';

export type IndexFolderOptions<Index extends AnyIndex = ImageIndex> = IndexItemsOptions<Index>;

interface FoundItem extends ItemToIndex {
  images: { path: string; stamp: FileStamp }[];
}

export interface IndexedFolder<Index extends AnyIndex = ImageIndex> {
  /** The previous index, where it was used, or a new one. It belongs to the caller, to be saved or searched. */
  index: Index;
  /** Images that were embedded now; the others were in the previous index. */
  embedded: number;
  /** Of these, those whose rows were there from an interrupted call. */
  kept: number;
  /** Images of the previous index that are gone. */
  removed: number;
  /** What lies in the folder and is not in the index. */
  leftOut: LeftOut;
}

/**
 * Indexes the images in a folder and its subfolders with a trained model, or an embedder of one's own. The id of an image is its path in the folder, with /
 * between its parts; its label is its class folder's name, where the folder is one of class folders. Ids, labels and payloads that
 * images of a previous index have, whether these changed or not, stay.
 *
 * @returns an index that belongs to the caller, to be saved or searched
 * @throws UserError when it is no folder, or holds no image that can be read
 * @throws ImageError naming the first image that cannot be read, if these are not left out
 * @throws Interrupted after `signal` was aborted
 */
export async function indexFolder<Index extends AnyIndex = ImageIndex>(
  embedder: Embedder,
  path: string,
  options: IndexFolderOptions<Index> = {},
): Promise<IndexedFolder<Index>> {
  const { folder, images, leftOut, classOf } = await foundImages(path);
  if (images.length === 0) {
    const found = leftOut.files + leftOut.folders === 0 ? 'found none' : String(leftOut);
    throw new UserError(
      `${folder}: expected images in it or its subfolders (${imageExtensions.join(', ')}), ${found}`,
    );
  }
  const there = new Map<string, FileStamp>(images.map(({ path, ...stamp }) => [path, stamp]));
  const previous = await usable(options.previous, embedder, folder);
  const before = await knownItems(previous);
  const known = new Map<string, { id: string; place: number }>();
  const own = new Set<string>();
  for (const { id, images } of before?.items() ?? []) {
    for (const [place, { path }] of images.entries()) if (isInFolder(path)) known.set(path, { id, place });
    if (!images.some(({ path }) => isInFolder(path))) own.add(id);
  }
  const items = new Map<string, FoundItem>();
  for (const [path, stamp] of there) {
    const id = known.get(path)?.id ?? path.split(sep).join('/');
    if (own.has(id))
      throw new UserError(
        `${folder}: the index has an item called ${id} that is of no file in it, and an image of that name was found: rename one of them`,
      );
    const item = items.get(id);
    if (item) item.images.push({ path, stamp });
    else {
      const was = before?.item(id);
      const label = classOf(path);
      const labels = was && was.labels.length > 0 ? was.labels : label === null ? [] : [label];
      items.set(id, { id, labels, payload: was?.payload ?? null, images: [{ path, stamp }] });
    }
  }
  for (const { images } of items.values())
    images.sort((a, b) => (known.get(a.path)?.place ?? 0) - (known.get(b.path)?.place ?? 0));
  const paths = [...items.values()].flatMap(({ images }) => images.map(({ path }) => path));
  const { index, embedded, kept, bad } = await indexItems(embedder, folder, [...items.values()], {
    ...options,
    previous,
  });
  for (const place of bad) leftOut.addFile('broken', paths[place]!);
  if (bad.length === paths.length) {
    throw new UserError(`${folder}: none of its ${there.size} images can be read`);
  }
  return {
    index,
    embedded,
    kept,
    removed: [...known.keys()].filter((name) => !there.has(name)).length,
    leftOut,
  };
}
