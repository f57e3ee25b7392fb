import { realpathSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { IndexItem } from './index-item.js';
import type { IndexedPreprocessing } from './preprocessing.js';

/** How far two rows are from each other: by Euclid, or 1 less the cosine of the angle between them. */
export type IndexMetric = 'euclidean' | 'cosine';

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

/** What an index is of, besides its rows. */
export interface ImageIndexContents {
  /** N items, in the order of the rows. */
  items: readonly IndexItem[];
  metric: IndexMetric;
  /** null: rows of one's own, made elsewhere. */
  origin: IndexOrigin | null;
}

/** Files that are looked at to recognise a folder. */
const SAMPLE = 256;

/** The share of an index's files that lie in a folder, by path and size; of many some are looked at. */
export function shareIn(folder: string, items: readonly IndexItem[]): number {
  const files = items.filter(({ path }) => path !== null);
  const step = Math.max(1, files.length / SAMPLE);
  let [looked, found] = [0, 0];
  for (let at = 0; at < files.length; at += step) {
    const { path, stamp } = files[Math.floor(at)]!;
    looked++;
    if (sizeOf(join(folder, path!)) === stamp?.size) found++;
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
export function isIndexOf({ origin, items }: ImageIndexContents, wanted: string): boolean {
  if (origin === null) return false;
  if (isSameFolder(origin.folder, wanted)) return true;
  return shareIn(origin.folder, items) === 0 && shareIn(wanted, items) >= 0.5;
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
  index: ImageIndexContents,
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
