import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { UserError } from '../error.js';
import { fileOfImage } from '../image-box.js';
import type { IndexedImage } from './index-item.js';
import type { IndexedPreprocessing } from './preprocessing.js';

/** Where the rows of an index come from: an embedder, and a folder of images. */
export interface IndexOrigin {
  /** Absolute path of the folder of images. */
  folder: string;
  /** The embedder's identity, of a run's model the SHA-256 of its checkpoint: rows of others cannot be compared with these. */
  embedder: string;
  /** What `openModel` opens it from: the absolute path of a run or of weights, or a public name. null: it is one's own. */
  source: string | null;
  /** Which of the run's checkpoints it is; null where the source is no run. */
  checkpoint: 'best' | 'last' | null;
  /** What it was given of each image. null: not known, see `isSeenAlike`. */
  preprocessing: IndexedPreprocessing | null;
}

/** What an index is of. */
export interface IndexContents {
  /** null: rows of one's own, made elsewhere. */
  origin: IndexOrigin | null;
  /** Some of its images, see `sampled`. */
  sample: readonly IndexedImage[];
}

/** Files that are looked at to recognise a folder. */
const SAMPLE = 256;

/** Some of many, evenly many of all parts. */
export function sampled<T>(count: number, at: (place: number) => T): T[] {
  const step = Math.max(1, count / SAMPLE);
  return Array.from({ length: Math.min(count, SAMPLE) }, (_, i) => at(Math.floor(i * step)));
}

/** The share of some images that lie in a folder, by path and size. */
export function shareIn(folder: string, images: readonly IndexedImage[]): number {
  const files = images.filter(({ path }) => path !== null);
  const found = files.filter(({ path, stamp }) => sizeOf(fileOfImage(join(folder, path!))) === stamp?.size);
  return files.length === 0 ? 0 : found.length / files.length;
}

/** The folder that holds most of the images, the first of equals. */
export function likeliestFolder(folders: readonly string[], images: readonly IndexedImage[]): string {
  const shares = [...new Set(folders)].map((folder) => ({ folder, share: shareIn(folder, images) }));
  return shares.reduce((best, next) => (next.share > best.share ? next : best)).folder;
}

/**
 * The folder of an index's images, as it is given.
 * @param file of the index, for messages
 * @throws UserError where it holds none of them
 */
export function givenFolder(given: string, images: readonly IndexedImage[], file: string): string {
  const folder = resolve(given);
  if (shareIn(folder, images) === 0)
    throw new UserError(
      `${folder} holds none of the images of ${file}: expected the folder that they are in now`,
    );
  return folder;
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
export function isIndexOf({ origin, sample }: IndexContents, wanted: string): boolean {
  if (origin === null) return false;
  if (isSameFolder(origin.folder, wanted)) return true;
  return shareIn(origin.folder, sample) === 0 && shareIn(wanted, sample) >= 0.5;
}

/**
 * What an index is of, if an index of another folder or model must not be written in its place.
 *
 * @param next where the other one's rows come from; null: one's own rows
 * @param here the folder in which the file of the index lies
 * @returns in words; null where it may be replaced: `next` is of the same folder by the same model, or that model was
 *   trained on or its run moved, or both are of one's own rows
 */
export function whatWouldBeLost(
  index: IndexContents,
  next: Omit<IndexOrigin, 'preprocessing'> | null,
  here: string,
): string | null {
  const { origin } = index;
  if (origin === null) return next === null ? null : 'an index of rows that no embedder made';
  const { source } = origin;
  const isSameSource = (other: string | null) =>
    source !== null && other !== null && isSameFolder(source, other);
  const movedWithRun =
    source !== null && sizeOf(source) === null && next?.source != null && isSameFolder(here, next.source);
  if (!next || (origin.embedder !== next.embedder && !isSameSource(next.source) && !movedWithRun))
    return source === null
      ? `an index by the embedder ${origin.embedder}`
      : `an index by ${isAbsolute(source) ? 'the run ' : ''}${source}`;
  if (origin.checkpoint !== next.checkpoint)
    return `an index by the ${origin.checkpoint ?? 'other'} checkpoint`;
  return isIndexOf(index, next.folder) ? null : `an index of ${origin.folder}`;
}
