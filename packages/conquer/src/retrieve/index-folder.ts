import { join, resolve, sep } from 'node:path';
import { type FileStamp, type IndexItem, isIndexOf, isSeenAlike, UserError } from '@conquer/run';
import { cat, scope, type Tensor, tensor } from '@conquer/torch';
import { classFolderOf } from '../datasets/folder-parts.js';
import { findImages, imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';
import { ImageIndex } from './image-index.js';
import type { TrainedModel } from './trained-model.js';

export interface IndexFolderOptions {
  /**
   * An index of the same folder, wherever it lay then, by the same model: images that have not changed since are not
   * embedded again. One of another folder or model is not used. Ids, labels and payloads of its images, whether these changed
   * or not, and its items that are of no file come along. It stays the caller's.
   */
  previous?: ImageIndex | null;
  /** Images that cannot be read are left out (default), or end it. */
  onBadImage?: 'skip' | 'fail';
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Images that were embedded or left out so far, of so many that are new or changed. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Told of images that cannot be read and are left out, a line each. */
  onWarning?: (message: string) => void;
}

export interface IndexedFolder {
  /** Its images are in the order of `findImages`; behind them are the items of the previous index that are of no file. */
  index: ImageIndex;
  /** Images that were embedded now; the others were in the previous index. */
  embedded: number;
  /** Images of the previous index that are gone. */
  removed: number;
  /** What lies in the folder and is not in the index. */
  leftOut: LeftOut;
}

/**
 * Indexes the images in a folder and its subfolders with a trained model. The id of an image is its path in the folder, with /
 * between its parts; its label is its class folder's name, where the folder is one of class folders.
 *
 * @returns an index that belongs to the caller, to be saved or searched
 * @throws UserError when it is no folder, or holds no image that can be read
 * @throws ImageError naming the first image that cannot be read, if these are not left out
 */
export async function indexFolder(
  model: TrainedModel,
  path: string,
  options: IndexFolderOptions = {},
): Promise<IndexedFolder> {
  const folder = resolve(path);
  const { onBadImage = 'skip', threads, onProgress, onWarning } = options;
  const { sha256, run, checkpoint, preprocessing } = model;
  const { images, leftOut } = await findImages(folder);
  if (images.length === 0) {
    const found = leftOut.files + leftOut.folders === 0 ? 'found none' : String(leftOut);
    throw new UserError(
      `${folder}: expected images in it or its subfolders (${imageExtensions.join(', ')}), ${found}`,
    );
  }
  const there = new Map<string, FileStamp>(images.map(({ path, ...stamp }) => [path, stamp]));
  const { previous } = options;
  const origin = previous?.contents.origin;
  const usable =
    previous &&
    origin?.sha256 === sha256 &&
    isSeenAlike(origin.preprocessing, preprocessing) &&
    isIndexOf(previous.contents, folder);
  const before = usable ? previous : null;
  const old = before?.contents.items ?? [];
  const known = new Map(old.flatMap((item, row) => (item.path === null ? [] : [[item.path, { item, row }]])));
  const unchanged = (name: string) => {
    const [stamp, was] = [there.get(name), known.get(name)?.item.stamp];
    return stamp && was && stamp.size === was.size && stamp.modified === was.modified;
  };

  // Rows of the previous index, and after them those that are embedded now.
  const rows = new Map<string, number>();
  for (const [name, { row }] of known) if (unchanged(name)) rows.set(name, row);
  const kept = rows.size;
  const names = [...there.keys()].filter((name) => !rows.has(name));
  const bad = new Set<number>();
  const skip = (error: Error, place: number) => {
    bad.add(place);
    leftOut.addFile('broken', names[place]!);
    onWarning?.(`${error.message}; it is left out`);
  };
  let embedded: Tensor | null = null;
  try {
    if (names.length > 0) {
      embedded = await model.embed(
        names.map((name) => join(folder, name)),
        {
          threads,
          onProgress: (done) => onProgress?.({ done: done + bad.size, total: names.length }),
          ...(onBadImage === 'skip' && { onBad: skip }),
        },
      );
      onProgress?.({ done: names.length, total: names.length });
    }
    let next = old.length;
    for (const [place, name] of names.entries()) if (!bad.has(place)) rows.set(name, next++);
    // In the order of the folder.
    const found = [...there].filter(([name]) => rows.has(name));
    if (found.length === 0) throw new UserError(`${folder}: none of its ${there.size} images can be read`);
    const labelOf = classFolderOf(found.map(([name]) => name));
    const images = found.map(([path, stamp]): IndexItem => {
      const was = known.get(path)?.item;
      return {
        id: was?.id ?? path.split(sep).join('/'),
        label: was?.label ?? labelOf(path),
        payload: was?.payload ?? null,
        path,
        stamp,
      };
    });
    const own = [...old.entries()].filter(([, { path }]) => path === null);
    const taken = new Set(images.map(({ id }) => id));
    const [, twice] = own.find(([, { id }]) => taken.has(id)) ?? [];
    if (twice)
      throw new UserError(
        `${folder}: the index has an item called ${twice.id} that is of no file, and an image of that name was found: rename one of them`,
      );
    const order = [...found.map(([name]) => rows.get(name)!), ...own.map(([row]) => row)];
    const embeddings = scope(() => {
      const parts = [before?.embeddings, embedded?.to('cpu')].filter((part) => part !== undefined);
      const all = cat(parts.filter((part) => part.size(0) > 0));
      return all.indexSelect(0, tensor(Int32Array.from(order), { dtype: 'int64' }));
    }).keep();
    const items = [...images, ...own.map(([, item]) => item)];
    const contents = {
      items,
      metric: 'euclidean' as const,
      origin: { folder, run, sha256, checkpoint, preprocessing },
    };
    return {
      index: new ImageIndex(contents, embeddings),
      embedded: rows.size - kept,
      removed: [...known.keys()].filter((name) => !there.has(name)).length,
      leftOut,
    };
  } finally {
    embedded?.dispose();
  }
}
