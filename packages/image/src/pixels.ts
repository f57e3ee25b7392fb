import { open, stat } from 'node:fs/promises';
import type SharpModule from 'sharp';
import type { Sharp } from 'sharp';
import { native, runNative } from './binding.js';
import { BITMAP_HEADER_BYTES, BitmapError, bitmapSize, decodeBitmap } from './bitmap.js';
import { type DecodeOptions, forEachImage } from './bounded.js';
import { ImageError } from './error.js';

/** Images of more pixels are refused by their header: a small file can hold more than the memory does. */
export const pixelLimit = 2 ** 27;

const tooLarge = `it holds more than ${pixelLimit} pixels, which is the limit`;

/** Width and height in pixels, after the EXIF orientation has been applied. */
export interface ImageSize {
  width: number;
  height: number;
}

/**
 * A file as a lazy pipeline: EXIF-oriented, first frame only. Truncated and damaged files fail; harmless
 * oddities of the encoder do not.
 */
function openImage(sharp: typeof SharpModule, path: string): Sharp {
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
  await runNative(options, (threads, job) => native.imageSizes(paths, numbers, pixelLimit, threads, job));
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
  const { sharp } = await import('./sharp.js');
  try {
    const { width, height } = (await openImage(sharp, path).metadata()).autoOrient;
    return { width, height };
  } catch (error) {
    const size = await ofBitmap(path, BITMAP_HEADER_BYTES, bitmapSize);
    if (!size) throw await imageError(path, error);
    if (size.width * size.height > pixelLimit) throw new ImageError(path, tooLarge);
    return { width: size.width, height: size.height };
  }
}

/**
 * What `use` makes of an image that is open; of a BMP file, which libvips does not read, its pixels decoded here.
 *
 * @throws ImageError where neither reads it, or what `use` throws as one
 */
export async function withImage<T>(path: string, use: (image: Sharp) => Promise<T>): Promise<T> {
  const { sharp } = await import('./sharp.js');
  try {
    return await use(openImage(sharp, path));
  } catch (error) {
    if (error instanceof ImageError) throw error;
    const bitmap = await ofBitmap(path, pixelLimit * 4, (bytes) => decodeBitmap(bytes, pixelLimit));
    if (!bitmap) throw await imageError(path, error);
    const { width, height, pixels } = bitmap;
    try {
      return await use(sharp(pixels, { raw: { width, height, channels: 3 }, limitInputPixels: pixelLimit }));
    } catch (second) {
      throw await imageError(path, second);
    }
  }
}

/** What `read` makes of the beginning of a file; null of one that is no BMP file. */
async function ofBitmap<T>(
  path: string,
  most: number,
  read: (bytes: Uint8Array) => T | null,
): Promise<T | null> {
  if (path.includes('\0')) return null;
  const file = await open(path).catch(() => null);
  if (!file) return null;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return null;
    const two = await file.read(Buffer.alloc(2), 0, 2, 0);
    if (two.buffer.toString('latin1') !== 'BM') return null;
    const bytes = Buffer.alloc(Math.min(stats.size, most));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return read(bytes.subarray(0, bytesRead));
  } catch (error) {
    if (error instanceof BitmapError) throw new ImageError(path, error.message, { cause: error });
    throw error;
  } finally {
    await file.close();
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
    if (await isHeic(path)) return 'it is HEIC, which is not read: convert it, for example with heif-convert';
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

/** By the brands in its first box; AVIF, its relative, has another. */
async function isHeic(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(12), 0, 12, 0);
    return /^.{4}ftyp(hei|hev|mif1|msf1)/s.test(buffer.toString('latin1', 0, bytesRead));
  } finally {
    await file.close();
  }
}

/** libvips' messages hold a line per layer, often twice, and sharp puts the file's name in front. */
function firstReason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/exceeds pixel limit/.test(message)) return tooLarge;
  const lines = message
    .split('\n')
    .map((line) => line.replace(/^(.*: )?(?=Input (file|buffer) )/, '').trim());
  return [...new Set(lines.filter((line) => line !== ''))].slice(0, 2).join('; ');
}
