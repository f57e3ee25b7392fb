import { open, stat } from 'node:fs/promises';
import type SharpModule from 'sharp';
import type { Sharp } from 'sharp';
import { native, runNative } from './binding.js';
import { BITMAP_HEADER_BYTES, BitmapError, bitmapSize, decodeBitmap } from './bitmap.js';
import { type DecodeOptions, forEachImage } from './bounded.js';
import type { Crop } from './crop.js';
import { ImageError } from './error.js';
import {
  checkedPixels,
  copyOfBytes,
  type ImageInput,
  inAddon,
  isRaw,
  type NamedImage,
  namedImages,
  pathOrBytes,
  type RawPixels,
} from './image-input.js';

/** Images of more pixels are refused by their header: a small file can hold more than the memory does. */
export const pixelLimit = 2 ** 27;

const tooLarge = `it holds more than ${pixelLimit} pixels, which is the limit`;

/** Width and height in pixels, after the EXIF orientation has been applied. */
export interface ImageSize {
  width: number;
  height: number;
}

/**
 * An image as a lazy pipeline: EXIF-oriented, first frame only. Truncated and damaged files fail; harmless
 * oddities of the encoder do not.
 *
 * @param image a path, or bytes that nobody else holds
 */
function openImage(sharp: typeof SharpModule, image: string | Buffer): Sharp {
  return sharp(image, { failOn: 'error', autoOrient: true, pages: 1, limitInputPixels: pixelLimit });
}

/** What libvips and `decodeBitmap` are given of an image. */
async function encodedOf(...image: Parameters<typeof pathOrBytes>): Promise<string | Buffer> {
  const encoded = await pathOrBytes(...image);
  // libvips would open the file of the name up to there.
  if (typeof encoded === 'string' && encoded.includes('\0'))
    throw new ImageError(encoded.replaceAll('\0', '\\0'), 'its name holds a zero');
  return encoded;
}

/**
 * The oriented size of an image from its header alone; nothing is decoded.
 * @throws ImageError if the header cannot be read, or says more than `pixelLimit` pixels
 */
export async function imageSize(image: ImageInput): Promise<ImageSize> {
  const [size] = await imageSizes([image]);
  return size!;
}

/**
 * The same of many images, in their order.
 * @returns 0×0 for those that `options.onBad` was told of
 * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read; the reason of `options.signal` after it was
 *   aborted; TypeError for what is neither a path, nor bytes, nor pixels
 */
export async function imageSizes(
  images: readonly ImageInput[],
  options: DecodeOptions = {},
): Promise<ImageSize[]> {
  return await sizesOf(namedImages(images), options);
}

/** The same of images that have their names. */
export async function sizesOf(
  images: readonly NamedImage[],
  options: DecodeOptions = {},
): Promise<ImageSize[]> {
  if (images.length === 0) return [];
  const numbers = new Int32Array(images.length * 2);
  const asked = inAddon(images);
  const given = Array.isArray(asked) ? asked : await asked;
  await runNative(options, (threads, job) => native.imageSizes(given, numbers, pixelLimit, threads, job));
  const sizes = images.map((_, index) => ({
    width: numbers[2 * index]!,
    height: numbers[2 * index + 1]!,
  }));
  const others = [...sizes.keys()].filter((index) => sizes[index]?.width === 0);
  await forEachImage(others, options, async (index) => {
    sizes[index] = await sizeBySharp(images[index]!);
  });
  const boxed = [...images.keys()].filter((index) => images[index]!.box && sizes[index]!.width > 0);
  await forEachImage(boxed, options, async (index) => {
    const { box, name } = images[index]!;
    const whole = sizes[index]!;
    // Of those that an error is told of, nothing is known.
    sizes[index] = { width: 0, height: 0 };
    sizes[index] = sizeOfBox(box!, whole, name);
  });
  return sizes;
}

/** @throws ImageError where the box does not lie inside of the image */
function sizeOfBox({ left, top, width, height }: Crop, whole: ImageSize, name: string): ImageSize {
  if (width < 1 || height < 1 || left + width > whole.width || top + height > whole.height)
    throw new ImageError(
      name,
      `the box ${width}×${height} at (${left}, ${top}) lies outside of the image, which has ${whole.width}×${whole.height} pixels`,
    );
  return { width, height };
}

async function sizeBySharp({ image, name }: NamedImage): Promise<ImageSize> {
  if (isRaw(image)) {
    const { width, height } = checkedPixels(image, name, pixelLimit);
    return { width, height };
  }
  const { sharp } = await import('./sharp.js');
  const encoded = await encodedOf(image, name);
  try {
    const { width, height } = (await openImage(sharp, encoded).metadata()).autoOrient;
    return { width, height };
  } catch (error) {
    const size = await ofBitmap(encoded, name, BITMAP_HEADER_BYTES, bitmapSize);
    if (!size) throw await imageError(encoded, name, error);
    if (size.width * size.height > pixelLimit) throw new ImageError(name, tooLarge);
    return { width: size.width, height: size.height };
  }
}

/**
 * What `use` makes of an image that is open; of a BMP file, which libvips does not read, its pixels decoded here.
 *
 * @throws ImageError where neither reads it, or what `use` throws as one
 */
export async function withImage<T>(
  { image, name }: NamedImage,
  use: (image: Sharp) => Promise<T>,
): Promise<T> {
  const { sharp } = await import('./sharp.js');
  const usePixels = async ({ width, height, data }: RawPixels, of: string | Buffer) => {
    try {
      return await use(sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: pixelLimit }));
    } catch (error) {
      throw await imageError(of, name, error);
    }
  };
  if (isRaw(image)) {
    const data = copyOfBytes(image.data, name);
    return await usePixels(checkedPixels({ ...image, data }, name, pixelLimit), data);
  }
  const encoded = await encodedOf(image, name);
  try {
    return await use(openImage(sharp, encoded));
  } catch (error) {
    if (error instanceof ImageError) throw error;
    const bitmap = await ofBitmap(encoded, name, pixelLimit * 4, (bytes) => decodeBitmap(bytes, pixelLimit));
    if (!bitmap) throw await imageError(encoded, name, error);
    return await usePixels({ ...bitmap, data: bitmap.pixels }, encoded);
  }
}

/** What `read` makes of the beginning of a file; null of one that is no BMP file. */
async function ofBitmap<T>(
  encoded: string | Buffer,
  name: string,
  most: number,
  read: (bytes: Uint8Array) => T | null,
): Promise<T | null> {
  const bytes = typeof encoded === 'string' ? await bitmapFile(encoded, most) : encoded.subarray(0, most);
  try {
    return bytes && read(bytes);
  } catch (error) {
    if (error instanceof BitmapError) throw new ImageError(name, error.message, { cause: error });
    throw error;
  }
}

/** The first bytes of a file; null where it is none of BMP. */
async function bitmapFile(path: string, most: number): Promise<Buffer | null> {
  const file = await open(path).catch(() => null);
  if (!file) return null;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return null;
    const two = await file.read(Buffer.alloc(2), 0, 2, 0);
    if (two.buffer.toString('latin1') !== 'BM') return null;
    const bytes = Buffer.alloc(Math.min(stats.size, most));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The error for an image that libvips refused, with a plainer reason where the file or the bytes explain it. */
export async function imageError(
  encoded: string | Buffer,
  name: string,
  cause: unknown,
): Promise<ImageError> {
  if (cause instanceof ImageError) return cause;
  const problem = typeof encoded === 'string' ? await fileProblem(encoded) : bytesProblem(encoded);
  return new ImageError(name, problem ?? firstReason(cause), { cause });
}

const heic = 'it is HEIC, which is not read: convert it, for example with heif-convert';

/** By the brands in its first box; AVIF, its relative, has another. */
function bytesProblem(bytes: Buffer): string | undefined {
  return /^.{4}ftyp(hei|hev|mif1|msf1)/s.test(bytes.toString('latin1', 0, 12)) ? heic : undefined;
}

async function fileProblem(path: string): Promise<string | undefined> {
  try {
    const entry = await stat(path);
    if (entry.isDirectory()) return 'it is a folder';
    if (entry.size === 0) return 'the file is empty';
    return bytesProblem(await firstBytes(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') return `the file cannot be opened (${code})`;
    // What Node puts in place of bytes that are not UTF-8.
    return path.includes('\uFFFD')
      ? 'no such file (a name that is not UTF-8 cannot be given: rename the file)'
      : 'no such file';
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(12), 0, 12, 0);
    return buffer.subarray(0, bytesRead);
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
