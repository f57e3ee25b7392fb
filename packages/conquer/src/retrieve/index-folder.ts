import { join, resolve, sep } from 'node:path';
import { type FileStamp, type IndexItem, isIndexOf, isSeenAlike, UserError } from '@conquer-dml/run';
import { cat, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { classFolderOf } from '../datasets/folder-parts.js';
import { findImages, imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';
import { requireFiniteRows } from '../evaluate/finite-rows.js';
import type { Embedder } from './embedder.js';
import { ImageIndex } from './image-index.js';

export interface IndexFolderOptions {
  /**
   * An index of the same folder, wherever it lay then, by the same embedder: images that have not changed since are not
   * embedded again. One of another folder or embedder is not used. Ids, labels and payloads of its images, whether these changed
   * or not, and its items that are of no file come along. It stays the caller's.
   */
  previous?: ImageIndex | null;
  /** Images that cannot be read are left out (default), or end it. */
  onBadImage?: 'skip' | 'fail';
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Ends the work early. */
  signal?: AbortSignal | undefined;
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
 * Indexes the images in a folder and its subfolders with a trained model, or an embedder of one's own. The id of an image is its path in the folder, with /
 * between its parts; its label is its class folder's name, where the folder is one of class folders.
 *
 * @returns an index that belongs to the caller, to be saved or searched
 * @throws UserError when it is no folder, or holds no image that can be read
 * @throws ImageError naming the first image that cannot be read, if these are not left out
 * @throws Interrupted after `signal` was aborted
 */
export async function indexFolder(
  embedder: Embedder,
  path: string,
  options: IndexFolderOptions = {},
): Promise<IndexedFolder> {
  const folder = resolve(path);
  const { onBadImage = 'skip', threads, signal, onProgress, onWarning } = options;
  const { id, dim, view, source = null, checkpoint = null } = embedder;
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
    origin?.embedder === id &&
    isSeenAlike(origin.preprocessing, view) &&
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
      const made = await embedder.embed(
        names.map((name) => join(folder, name)),
        {
          threads,
          signal,
          onProgress: (done) => onProgress?.({ done: done + bad.size, total: names.length }),
          ...(onBadImage === 'skip' && { onBad: skip }),
        },
      );
      embedded = rowsOf(made, names.length - bad.size, dim);
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
      const parts = [before?.embeddings, embedded].filter((part) => part != null);
      const all = cat(parts.filter((part) => part.size(0) > 0));
      return all.indexSelect(0, tensor(Int32Array.from(order), { dtype: 'int64' }));
    }).keep();
    const items = [...images, ...own.map(([, item]) => item)];
    const contents = {
      items,
      metric: 'euclidean' as const,
      origin: { folder, embedder: id, source, checkpoint, preprocessing: view },
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

/** What an embedder gave, which may be code of one's own. */
function rowsOf(made: Float32Array, count: number, dim: number): Tensor {
  if (!(made instanceof Float32Array) || made.length !== count * dim)
    throw new TypeError(
      `the embedder: expected a Float32Array of ${count} rows of ${dim} numbers for ${count} images, got ${made instanceof Float32Array ? `${made.length} numbers` : typeof made}`,
    );
  const rows = tensor(made, { shape: [count, dim] }).keep();
  try {
    requireFiniteRows(rows, (row) => `image ${row + 1} of those that were embedded`);
    return rows;
  } catch (error) {
    rows.dispose();
    throw error;
  }
}
