import { dirname } from 'node:path';
import {
  type EmbeddedSet,
  type EmbeddingsRead,
  likelyStandIns,
  neighboursWithout,
  type RunFolder,
  readJson,
  settingsOf,
} from '@conquer/run';
import { imageFolders, isWhole, liesInOneOf } from './thumbnails.js';

const MAX_CONFIG = 1 << 20;

/** Whether an image of an older run can be read; null where none of its images may be bad. */
export async function badImagesOf(folder: RunFolder): Promise<((path: string) => Promise<boolean>) | null> {
  const config = await readJson(folder.configFile, MAX_CONFIG).catch(() => null);
  const settings = settingsOf(config)?.settings;
  if (settings?.['on-bad-image'] !== 'skip') return null;
  const folders = await imageFolders(settings, dirname(folder.path), []);
  return async (path) => !(await liesInOneOf(path, folders)) || (await isWhole(path));
}

/**
 * Without the rows of images that cannot be read, in which older versions wrote another image's embedding: those that
 * are another's of their class, and whose file is there and is no image.
 */
export async function withoutStandIns(
  rows: EmbeddingsRead,
  isReadable: ((path: string) => Promise<boolean>) | null,
): Promise<EmbeddingsRead> {
  if (isReadable === null) return rows;
  const { dim } = rows;
  const standIns = async ({ vectors, labels, images }: EmbeddedSet): Promise<Set<number>> => {
    const found = new Set<number>();
    if (images === null) return found;
    for (const row of likelyStandIns(vectors, dim, labels))
      if (!(await isReadable(images.paths[row] as string))) found.add(row);
    return found;
  };
  const without = ({ vectors, labels, images }: EmbeddedSet, gone: ReadonlySet<number>): EmbeddedSet => {
    const stays = (_: unknown, row: number) => !gone.has(row);
    return {
      vectors: vectors.filter((_, at) => !gone.has(Math.floor(at / dim))),
      labels: labels.filter(stays),
      images: images && {
        ...images,
        paths: images.paths.filter(stays),
        labels: images.labels.filter(stays),
      },
    };
  };
  const bad = await standIns(rows.queries);
  const badGallery = rows.gallery && (await standIns(rows.gallery));
  return {
    ...rows,
    queries: without(rows.queries, bad),
    gallery: rows.gallery && without(rows.gallery, badGallery ?? new Set()),
    neighbours: neighboursWithout(rows.neighbours, bad, badGallery ?? bad),
    clusters: rows.clusters.filter((_, row) => !bad.has(row)),
    leftOut: rows.leftOut + bad.size + (badGallery?.size ?? 0),
  };
}
