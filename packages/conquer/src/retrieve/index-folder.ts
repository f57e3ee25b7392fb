import { join, resolve } from 'node:path';
import { ImageError } from '@conquer/image';
import { cat, scope, type Tensor, tensor } from '@conquer/torch';
import { UserError } from '../error.js';
import { type FileStamp, imageFilesIn } from './image-files.js';
import { ImageIndex } from './image-index.js';
import type { TrainedModel } from './trained-model.js';

export interface IndexFolderOptions {
  /**
   * An index of the same folder by the same model: images that have not changed since are not embedded again.
   * One of another folder or model is not used. It stays the caller's.
   */
  previous?: ImageIndex | null;
  /** The checkpoint that the model was opened from, as the index is to note it; default 'best'. */
  checkpoint?: 'best' | 'last';
  /** Images embedded so far, of so many that are new or changed. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Told of images that cannot be read, which are left out, a line each. */
  onWarning?: (message: string) => void;
}

export interface IndexedFolder {
  /** Its images are in the order of `imageFilesIn`. */
  index: ImageIndex;
  /** Images that were embedded now; the others were in the previous index. */
  embedded: number;
  /** Images of the previous index that are gone. */
  removed: number;
}

/** Images that are embedded before the next ones are read: bounds what a damaged file costs. */
const PORTION = 1024;

/**
 * Indexes the images in a folder and its subfolders with a trained model.
 *
 * @returns an index that belongs to the caller, to be saved or searched
 * @throws UserError when it is no folder, or holds no image that can be read
 */
export async function indexFolder(
  model: TrainedModel,
  path: string,
  options: IndexFolderOptions = {},
): Promise<IndexedFolder> {
  const folder = resolve(path);
  const { checkpoint = 'best', onProgress, onWarning } = options;
  const { sha256, run } = model;
  const there = imageFilesIn(folder);
  const usable = options.previous?.contents.sha256 === sha256 && options.previous.contents.folder === folder;
  const previous = usable ? options.previous : null;
  const before = previous?.contents.files ?? new Map<string, FileStamp>();
  const unchanged = (name: string, { size, modified }: FileStamp) => {
    const stamp = before.get(name);
    return stamp !== undefined && stamp.size === size && stamp.modified === modified;
  };

  const names = [...there].filter(([name, stamp]) => !unchanged(name, stamp)).map(([name]) => name);
  const rows = new Map<string, { part: number; row: number }>();
  const parts: Tensor[] = previous ? [previous.embeddings] : [];
  for (const [row, name] of [...before.keys()].entries()) {
    const stamp = there.get(name);
    if (stamp && unchanged(name, stamp)) rows.set(name, { part: 0, row });
  }
  const kept = rows.size;
  try {
    for (let start = 0; start < names.length; start += PORTION) {
      let portion = names.slice(start, start + PORTION);
      while (portion.length > 0) {
        const embedding = model.embed(
          portion.map((name) => join(folder, name)),
          { onProgress: (done) => onProgress?.({ done: start + done, total: names.length }) },
        );
        const outcome = await embedding.catch((error: unknown) => {
          if (error instanceof ImageError) return error;
          throw error;
        });
        if (outcome instanceof ImageError) {
          onWarning?.(`${outcome.message}; it is left out`);
          portion = portion.filter((name) => join(folder, name) !== outcome.path);
          continue;
        }
        for (const [row, name] of portion.entries()) rows.set(name, { part: parts.length, row });
        const onCpu = outcome.device === 'cpu';
        parts.push(onCpu ? outcome : outcome.to('cpu').keep());
        if (!onCpu) outcome.dispose();
        break;
      }
    }
    // In the order of the folder.
    const files = new Map([...there].filter(([name]) => rows.has(name)));
    if (files.size === 0) throw new UserError(`${folder}: none of its ${there.size} images can be read`);
    const starts = parts.map((_, part) => parts.slice(0, part).reduce((sum, rows) => sum + rows.size(0), 0));
    const order = [...files.keys()].map((name) => {
      const { part, row } = rows.get(name)!;
      return starts[part]! + row;
    });
    const embeddings = scope(() =>
      cat(parts).indexSelect(0, tensor(BigInt64Array.from(order, BigInt))),
    ).keep();
    const contents = { folder, run, sha256, checkpoint, files };
    return {
      index: new ImageIndex(contents, embeddings),
      embedded: rows.size - kept,
      removed: [...before.keys()].filter((name) => !there.has(name)).length,
    };
  } finally {
    for (const part of parts) if (part !== previous?.embeddings) part.dispose();
  }
}
