import { isFields } from '../records/fields.js';
import type { IndexedPreprocessing } from './preprocessing.js';
import type { SegmentSize } from './stored-items.js';

export const INDEX_FORMAT = 'conquer-index-4';

/** A part of an index that never changes: rows and items in NAME.rows, NAME.items and NAME.table. */
export interface SegmentRecord extends SegmentSize {
  name: string;
  /** SHA-256 of the files, by their extension. */
  sha256: Record<'rows' | 'items' | 'table', string>;
  /** Which of its items are no longer there: a file of N bits, the lowest of a byte first. */
  removed: { file: string; items: number; rows: number } | null;
}

/** Where the images of an index are from, as it is written: `IndexOrigin`, and where it lies from the index. */
export interface StoredOrigin {
  folder: string;
  relativeFolder: string;
  embedder: string;
  source: string | null;
  relativeSource: string | null;
  checkpoint: 'best' | 'last' | null;
  preprocessing: IndexedPreprocessing | null;
}

/** manifest.json, which says what else in the folder is the index. What it does not name is not of it. */
export interface IndexManifest {
  format: typeof INDEX_FORMAT;
  /** Another one after each write. */
  version: string;
  /** D, the numbers of a row: float32, little-endian, of length 1. */
  dim: number;
  segments: SegmentRecord[];
  /** null: rows of one's own, made elsewhere. */
  origin: StoredOrigin | null;
  /** What a similarity means, see the library's `Calibration`; null: not known. */
  calibration: unknown;
  /** For approximate searches of a segment, a `GraphRecord`; null: there is none. */
  graph: unknown;
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isName = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
const isHash = (value: unknown) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isTextOrNull = (value: unknown) => value === null || typeof value === 'string';

/** Names of files that are an index's own: others are left alone. */
export const isOwnFile = (name: string): boolean =>
  /^[0-9a-f]{16}(\.rows|\.items|\.table|\.removed|\.graph|\.copies)$/.test(name) ||
  /^manifest\.json\.[0-9a-f]+\.tmp$/.test(name);

/** @returns what is wrong with it, in words; null where it is one */
export function manifestFault(value: unknown): string | null {
  if (!isFields(value)) return 'manifest.json is no object';
  const { format, version, dim, segments, origin } = value;
  if (format !== INDEX_FORMAT) return `its format is ${JSON.stringify(format)}, expected ${INDEX_FORMAT}`;
  if (typeof version !== 'string' || !isWhole(dim)) return 'it has no version or no dim';
  if (!Array.isArray(segments) || !segments.every(isSegment)) return 'its segments are none';
  if (origin !== null && !isOrigin(origin)) return 'its origin is none';
  return null;
}

function isSegment(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { name, items, rows, sha256, removed } = value;
  return (
    isName(name) &&
    isWhole(items) &&
    isWhole(rows) &&
    rows >= items &&
    isFields(sha256) &&
    ['rows', 'items', 'table'].every((file) => isHash(sha256[file])) &&
    (removed === null ||
      (isFields(removed) &&
        typeof removed.file === 'string' &&
        isOwnFile(removed.file) &&
        isWhole(removed.items) &&
        isWhole(removed.rows) &&
        removed.items <= items &&
        removed.rows <= rows))
  );
}

function isOrigin(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { folder, relativeFolder, embedder, source, relativeSource, checkpoint, preprocessing } = value;
  return (
    [folder, relativeFolder, embedder].every((text) => typeof text === 'string') &&
    isTextOrNull(source) &&
    isTextOrNull(relativeSource) &&
    [null, 'best', 'last'].includes(checkpoint as null) &&
    (preprocessing === null || isFields(preprocessing))
  );
}
