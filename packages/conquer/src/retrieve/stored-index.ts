import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  type Calibration,
  calibrationOf,
  DamagedFile,
  type GraphRecord,
  graphOf,
  INDEX_FORMAT,
  IndexFolder,
  type IndexManifest,
  type IndexOrigin,
  isSystemError,
  originAt,
  type SegmentRecord,
  sampled,
  storedOrigin,
  UserError,
  whatWouldBeLost,
} from '@conquer-dml/run';
import { IndexSegment, writeSegment } from './index-segment.js';

/** Segments of up to so many bytes are joined with what is added, so that many small additions do not stay many small files. */
const JOINED_BYTES = 512 << 10;
/** And so many times the bytes that are added, if that is more. */
const JOINED_SHARE = 4;
/** From so many of them on. */
const JOINED_FROM = 8;

/** An index's parts, in memory or on the disk. */
export interface IndexParts {
  segments: IndexSegment[];
  dim: number;
  origin: IndexOrigin | null;
  /** What a similarity means; null: not known. */
  calibration: Calibration | null;
}

/** Which write of which folder parts are of. */
export interface IndexHome {
  path: string;
  version: string;
}

/** Some images of an index, to recognise their folder. */
export function sampleOf(segments: readonly IndexSegment[]) {
  return segments.flatMap((segment) =>
    sampled(segment.table.count, (place) =>
      segment.has(place) ? segment.table.item(place).images : [],
    ).flat(),
  );
}

/**
 * Opens the index in a folder, by its manifest: rows are mapped into memory, items are read when they are asked for.
 *
 * @param given where the folder of images is now
 * @throws UserError where there is none, it is damaged, or the folder that is given is another one
 */
export function readParts(path: string, given: string | undefined): IndexParts & { home: IndexHome } {
  const folder = new IndexFolder(path);
  // A writer may remove files that the manifest named when it was read: then there is a newer one.
  for (let attempt = 0; ; attempt++) {
    const manifest = folder.manifest();
    const { dim, origin, calibration, version } = manifest;
    const segments: IndexSegment[] = [];
    try {
      const graph = graphOf(manifest.graph);
      for (const record of manifest.segments) segments.push(IndexSegment.open(folder, record, dim, graph));
      return {
        segments,
        dim,
        origin: origin && originAt(origin, path, sampleOf(segments), given),
        calibration: calibrationOf(calibration),
        home: { path: folder.path, version },
      };
    } catch (error) {
      for (const segment of segments) segment.dispose();
      const gone = isSystemError(error) && (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (gone && attempt < 10 && folder.manifest().version !== version) continue;
      if (error instanceof DamagedFile || gone) throw folder.damaged((error as Error).message);
      throw error;
    }
  }
}

export interface WriteIndexOptions {
  /** Of the index that is written: what it was opened from; null: from nowhere. */
  home: IndexHome | null;
  /** All segments as one, without what is removed. */
  compact: boolean;
}

/**
 * Writes what has changed since the index was opened from this folder, or else all of it. Whenever it ends, the old index or the
 * new one is whole. To be called by who has the folder's lock.
 *
 * @returns the same parts, opened from the folder where they were written; what they replace is disposed
 * @throws UserError where it cannot be written, the folder's index has been written by another since, or is of something else
 */
export function writeParts(
  path: string,
  parts: IndexParts,
  { home, compact }: WriteIndexOptions,
): { segments: IndexSegment[]; home: IndexHome } {
  const folder = new IndexFolder(path);
  const exists = folder.exists();
  // What it was opened from may have been removed since: then nothing of it is on the disk any more.
  const isHome = exists && home?.path === folder.path;
  if (exists) {
    const there = folder.manifest();
    if (isHome && there.version !== home!.version)
      throw new UserError(`${path} was written by another process since it was opened: open it again`);
    if (!isHome) refuseLoss(path, parts.origin);
  }
  const { dim, origin, calibration } = parts;
  const live = parts.segments.filter(({ count }) => count > 0);
  const groups = compact || !isHome ? [live] : grouped(live, dim);
  const written = groups.flatMap((group): { record: SegmentRecord; segment: IndexSegment | null }[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { record } = first;
    if (group.length > 1 || record === null || !isHome)
      return [{ record: writeSegment(folder, group), segment: null }];
    return [{ record: first.changed ? first.updatedRecord(folder, record) : record, segment: first }];
  });
  let graph: GraphRecord | null = null;
  for (const [at, { record, segment }] of written.entries()) {
    const [source, ...others] = groups.filter(({ length }) => length > 0)[at]!;
    if (others.length === 0) graph ??= source!.keptGraph(folder, record.name, segment !== null);
  }
  const manifest: IndexManifest = {
    format: INDEX_FORMAT,
    version: folder.newName(),
    dim,
    segments: written.map(({ record }) => record),
    origin: origin && storedOrigin(origin, path),
    calibration,
    graph,
  };
  folder.commit(manifest);
  const kept = new Set<IndexSegment>();
  const segments = written.map(({ record, segment }) => {
    if (segment === null || segment.changed) return IndexSegment.open(folder, record, dim, graph);
    if (graph?.segment === record.name) segment.graphIn(folder, graph);
    kept.add(segment);
    return segment;
  });
  for (const segment of parts.segments) if (!kept.has(segment)) segment.dispose();
  return { segments, home: { path: folder.path, version: manifest.version } };
}

function refuseLoss(path: string, next: IndexOrigin | null): void {
  const opened = readParts(path, undefined);
  try {
    const contents = { origin: opened.origin, sample: sampleOf(opened.segments) };
    const lost = whatWouldBeLost(contents, next, dirname(opened.home.path));
    if (lost !== null) throw new UserError(`${path} is ${lost}: it is not written over, give another name`);
  } finally {
    for (const segment of opened.segments) segment.dispose();
  }
}

/** Which segments become one: small ones at the end, together with what is added. */
function grouped(segments: readonly IndexSegment[], dim: number): IndexSegment[][] {
  const bytesOf = ({ rowCount }: IndexSegment) => rowCount * 4 * dim;
  const added = segments.filter(({ record }) => record === null).reduce((sum, one) => sum + bytesOf(one), 0);
  const budget = Math.max(JOINED_BYTES, JOINED_SHARE * added);
  let first = segments.length;
  for (let bytes = 0; first > 0; first--) {
    bytes += bytesOf(segments[first - 1]!);
    if (bytes > budget) break;
  }
  const fresh = segments.findIndex(({ record }) => record === null);
  // Several of memory are one in any case; they are all at the end.
  const from = segments.length - first >= JOINED_FROM ? first : fresh < 0 ? segments.length : fresh;
  const alone = segments.slice(0, from).map((segment) => [segment]);
  return from < segments.length ? [...alone, segments.slice(from)] : alone;
}

/** Whether there is an index of an earlier version, which is one file. */
export const isEarlierIndex = (path: string): boolean => existsSync(path) && statSync(path).isFile();
