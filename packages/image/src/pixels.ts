import { stat } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { native, runNative } from './binding.js';
import { type DecodeOptions, forEachImage } from './bounded.js';
import { ImageError } from './error.js';

// libvips would remember decoded files by name and answer with the old pixels after a file has changed.
sharp.cache(false);

/** Images of more pixels are refused by their header: a small file can hold more than the memory does. */
export const pixelLimit = 2 ** 27;

/** Width and height in pixels, after the EXIF orientation has been applied. */
export interface ImageSize {
  width: number;
  height: number;
}

/**
 * A file as a lazy pipeline: EXIF-oriented, first frame only. Truncated and damaged files fail; harmless
 * oddities of the encoder do not.
 */
export function openImage(path: string): Sharp {
  // libvips would open the file of the name up to there.
  if (path.includes('\0')) throw new ImageError(path.replaceAll('\0', '\\0'), 'its name holds a zero');
  return sharp(path, { failOn: 'error', autoOrient: true, pages: 1, limitInputPixels: pixelLimit });
}

/**
 * The oriented size of an image from its header alone; nothing is decoded.
 * @throws ImageError if the header cannot be read, or says more than `pixelLimit` pixels
 */
export async function imageSize(path: string): Promise<ImageSize> {
  const [size] = await imageSizes([path]);
  return size!;
}

/**
 * The same of many images, in their order.
 * @returns 0×0 for those that `options.onBad` was told of
 * @throws ImageError, unless `options.onBad` is told, naming the first file that cannot be read; the reason of `options.signal` after it was
 *   aborted
 */
export async function imageSizes(
  paths: readonly string[],
  options: DecodeOptions = {},
): Promise<ImageSize[]> {
  if (paths.length === 0) return [];
  const numbers = new Int32Array(paths.length * 2);
  await runNative(options, (threads, cancel) =>
    native.imageSizes(paths, numbers, pixelLimit, threads, cancel),
  );
  const sizes = paths.map((_, index) => ({
    width: numbers[2 * index]!,
    height: numbers[2 * index + 1]!,
  }));
  const others = [...sizes.keys()].filter((index) => sizes[index]?.width === 0);
  await forEachImage(others, options, async (index) => {
    sizes[index] = await sizeBySharp(paths[index]!);
  });
  return sizes;
}

async function sizeBySharp(path: string): Promise<ImageSize> {
  try {
    const { width, height } = (await openImage(path).metadata()).autoOrient;
    return { width, height };
  } catch (error) {
    throw await imageError(path, error);
  }
}

/** The error for a file that libvips refused, with a plainer reason where the file itself explains it. */
export async function imageError(path: string, cause: unknown): Promise<ImageError> {
  if (cause instanceof ImageError) return cause;
  return new ImageError(path, (await fileProblem(path)) ?? firstReason(cause), { cause });
}

async function fileProblem(path: string): Promise<string | undefined> {
  try {
    const entry = await stat(path);
    if (entry.isDirectory()) return 'it is a folder';
    if (entry.size === 0) return 'the file is empty';
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') return `the file cannot be opened (${code})`;
    // What Node puts in place of bytes that are not UTF-8.
    return path.includes('\uFFFD')
      ? 'no such file (a name that is not UTF-8 cannot be given: rename the file)'
      : 'no such file';
  }
}

/** libvips' messages hold a line per layer, often twice, and sharp puts the file's name in front. */
function firstReason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/exceeds pixel limit/.test(message))
    return `it holds more than ${pixelLimit} pixels, which is the limit`;
  const lines = message
    .split('\n')
    .map((line) => line.replace(/^(.*: )?(?=Input (file|buffer) )/, '').trim());
  return [...new Set(lines.filter((line) => line !== ''))].slice(0, 2).join('; ');
}
