import { realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Preprocessing } from './preprocessing.js';

/** A file as it stood: when one of the numbers differs, it has changed. */
export interface FileStamp {
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

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
  /**
   * What the model was given of each image. null: not known; the index is of a version that gave what files hold, without
   * any reduction.
   */
  preprocessing: Preprocessing | null;
  /** Of N images: their stamps by path, relative to the folder. */
  files: ReadonlyMap<string, FileStamp>;
}

/** Files that are looked at to recognise a folder. */
const SAMPLE = 256;

/** The share of an index's files that lie in a folder, by path and size; of many some are looked at. */
export function shareIn(folder: string, files: ReadonlyMap<string, FileStamp>): number {
  const all = [...files];
  const step = Math.max(1, all.length / SAMPLE);
  let [looked, found] = [0, 0];
  for (let at = 0; at < all.length; at += step) {
    const [path, { size }] = all[Math.floor(at)]!;
    looked++;
    if (sizeOf(join(folder, path)) === size) found++;
  }
  return looked === 0 ? 0 : found / looked;
}

function sizeOf(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? null;
  } catch {
    return null;
  }
}

/** Whether two paths lead to one folder that is there. */
export function isSameFolder(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}

/** Whether the images of an index are those of a folder, which may have been moved there since. */
export function isIndexOf({ folder, files }: ImageIndexContents, wanted: string): boolean {
  if (isSameFolder(folder, wanted)) return true;
  return shareIn(folder, files) === 0 && shareIn(wanted, files) >= 0.5;
}

/**
 * What an index is of, if an index of another folder or model must not be written in its place.
 *
 * @param next that other index
 * @param here the folder in which the file of the index lies
 * @returns in words; null where it may be replaced: `next` is of the same folder by the same model, or that model was
 *   trained on or its run moved
 */
export function whatWouldBeLost(
  index: ImageIndexContents,
  next: Pick<ImageIndexContents, 'folder' | 'run' | 'sha256' | 'checkpoint'>,
  here: string,
): string | null {
  const movedWithRun = sizeOf(index.run) === null && isSameFolder(here, next.run);
  if (index.sha256 !== next.sha256 && !isSameFolder(index.run, next.run) && !movedWithRun)
    return `an index by the run ${index.run}`;
  if (index.checkpoint !== next.checkpoint) return `an index by the ${index.checkpoint} checkpoint`;
  return isIndexOf(index, next.folder) ? null : `an index of ${index.folder}`;
}

/** Whether an index's images were given to the network as this says. */
export function isSeenAlike(indexed: Preprocessing | null, now: Preprocessing): boolean {
  if (indexed === null) return now.reduction === null;
  const square = (reduction: Preprocessing['reduction']) => reduction?.square ?? false;
  return (
    indexed.size === now.size &&
    indexed.resize === now.resize &&
    indexed.reduction?.size === now.reduction?.size &&
    square(indexed.reduction) === square(now.reduction)
  );
}
