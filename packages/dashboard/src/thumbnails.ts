import { createHash } from 'node:crypto';
import { open, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { boxOfImage, fileOfImage, imageFolderOf, partOfImage, type Settings } from '@conquer-dml/run';
import sharp from 'sharp';
import { liesWithin } from './lies-within.js';

/** Edge lengths that can be asked for. */
export const THUMBNAIL_SIZES = [48, 96, 192, 384] as const;

/** What photos come as. Not SVG or PDF: those are programs. */
const FORMATS = new Set(['jpeg', 'png', 'webp', 'gif', 'tiff', 'heif']);
const MAX_PIXELS = 200_000_000;

/** The bytes of an image in a row of a Parquet file, by its path. */
export type RowReader = (path: string) => Promise<Uint8Array>;

export interface ThumbnailOptions {
  /** Of WebP, 1 to 100; default 80. */
  quality?: number;
  /** Without one, images in Parquet files have no thumbnail. */
  readRow?: RowReader | undefined;
}

/** A WebP of at most size × size pixels, upright, over white. null if the file is no picture. */
export async function thumbnail(
  path: string,
  size: number,
  { quality = 80, readRow }: ThumbnailOptions = {},
): Promise<Buffer | null> {
  try {
    const picture = sharp(await encodedAt(path, readRow), { limitInputPixels: MAX_PIXELS, failOn: 'none' });
    const box = boxOfImage(path);
    const { format } = await picture.metadata();
    if (!FORMATS.has(format)) return null;
    picture.rotate();
    if (box) picture.extract(box);
    return await picture
      .resize(size, size, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#fff' })
      .webp({ quality })
      .toBuffer();
  } catch {
    return null;
  }
}

/** Changes with an image's file; null where there is none. */
export async function imageTag(path: string, size: number): Promise<string | null> {
  try {
    const { mtimeMs } = await stat(fileOfImage(path));
    return `"${createHash('sha256').update(`${path} ${mtimeMs} ${size}`).digest('hex').slice(0, 24)}"`;
  } catch {
    return null;
  }
}

/** The file, or of a member of an archive or a row of a Parquet file its bytes. @throws Error for a row that nobody reads */
async function encodedAt(path: string, readRow?: RowReader): Promise<string | Uint8Array> {
  const part = partOfImage(path);
  if (part === null) return fileOfImage(path);
  if (part === 'row') {
    if (!readRow) throw new Error('images in Parquet files are not read');
    return await readRow(path);
  }
  const file = await open(fileOfImage(path));
  try {
    const length = Math.min(part.length, Math.max(0, (await file.stat()).size - part.offset));
    return (await file.read(Buffer.alloc(length), 0, length, part.offset)).buffer;
  } finally {
    await file.close();
  }
}

/** Whether a file is an image that can be decoded to its end. One that is not there is not known to be bad. */
export async function isWhole(path: string): Promise<boolean> {
  try {
    // One that is not read here is not known to be bad either.
    if (!(await stat(fileOfImage(path))).isFile() || partOfImage(path) === 'row') return true;
  } catch {
    return true;
  }
  try {
    await sharp(await encodedAt(path), { limitInputPixels: MAX_PIXELS, failOn: 'truncated' })
      .resize(8, 8)
      .raw()
      .toBuffer();
    return true;
  } catch {
    return false;
  }
}

/**
 * The folders that a run's images may lie in: its data set's, and those that the dashboard was given. A run folder may
 * come from anywhere, so that its list of images alone opens no file elsewhere.
 *
 * Of a run that trainEmbedding() made it is the one that holds all test images. A relative one is looked for from the
 * working folder and from the folder that holds the runs' folder.
 */
export async function imageFolders(
  settings: Settings,
  runsDir: string,
  given: readonly string[],
): Promise<string[]> {
  const dir = imageFolderOf(settings);
  const own = dir !== null ? [resolve(dir), resolve(runsDir, '..', dir)] : [];
  const folders: string[] = [];
  for (const folder of [...own, ...given]) {
    try {
      // Of a list of images, the paths are relative to its folder.
      const real = await realpath(folder);
      const inside = (await stat(real)).isDirectory() ? real : dirname(real);
      // The root would hold everything.
      if (inside !== dirname(inside)) folders.push(inside);
    } catch {
      // It is not on this machine.
    }
  }
  return folders;
}

/** Whether an image may be shown. */
export async function liesInOneOf(path: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) if (await liesWithin(fileOfImage(path), folder)) return true;
  return false;
}
