import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DecodeOptions, decodeImages, forEachBounded } from './decode.js';
import { ImageError } from './error.js';

export interface PackProgress {
  done: number;
  total: number;
}

export interface PackOptions extends DecodeOptions {
  /** Side of the packed images in pixels. */
  size: number;
  /** Where the pack lies; its folder is made. */
  file: string;
  /** Called after each block of images that has been written. */
  onProgress?: ((progress: PackProgress) => void) | undefined;
}

/** Where the pixels are: `count` images of `size`×`size`×3 bytes, one after the other, from byte `offset` on. */
export interface PackedImages {
  file: string;
  offset: number;
  size: number;
  count: number;
}

/** Path, bytes and modification time (ms) of an image, as it was when it was packed. */
type Fingerprint = [path: string, bytes: number, modified: number];

interface Header {
  version: number;
  size: number;
  count: number;
  images: Fingerprint[];
}

const magic = 'CONQPACK';
const version = 1;
const prefixBytes = 16; // the magic, then the header's length and the pixels' offset as 32-bit little endian
const alignment = 4096;
const blockImages = 256;

/**
 * Decodes every image once, resized to cover `size`×`size` and cut at the centre, into one file that can be
 * mapped into memory: 16 bytes of prefix, a JSON header, and from an aligned offset N×S×S×3 bytes of RGB.
 * The file is written under a temporary name and renamed when it is complete. A pack of the same images in
 * the same order, unchanged since (by bytes and modification time), is used as it is.
 * @throws ImageError naming the first image that cannot be read
 */
export async function packImages(paths: readonly string[], options: PackOptions): Promise<PackedImages> {
  const { size, file, onProgress } = options;
  const images = await fingerprints(paths, options);
  const present = await readPack(file, { version, size, count: paths.length, images });
  if (present) return present;

  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}-${randomUUID().slice(0, 8)}.part`;
  const target = await open(temporary, 'w');
  try {
    const offset = await writeHeader(target, { version, size, count: paths.length, images });
    const bytes = size * size * 3;
    for (let start = 0; start < paths.length; start += blockImages) {
      const block = paths.slice(start, start + blockImages);
      const pixels = new Uint8Array(block.length * bytes);
      const requests = block.map((path) => ({
        path,
        size: { width: size, height: size },
        fit: 'cover' as const,
      }));
      await decodeImages(requests, pixels, options);
      await writeFully(target, pixels, offset + start * bytes);
      onProgress?.({ done: start + block.length, total: paths.length });
    }
    await target.sync();
    await target.close();
    await rename(temporary, file);
    return { file, offset, size, count: paths.length };
  } catch (error) {
    await target.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
}

async function fingerprints(paths: readonly string[], options: DecodeOptions): Promise<Fingerprint[]> {
  const images: Fingerprint[] = new Array(paths.length);
  await forEachBounded(paths, options, async (path, index) => {
    const entry = await stat(path).catch((error: NodeJS.ErrnoException) => {
      const reason = error.code === 'ENOENT' ? 'no such file' : `the file cannot be opened (${error.code})`;
      throw new ImageError(path, reason, { cause: error });
    });
    images[index] = [path, entry.size, Math.round(entry.mtimeMs)];
  });
  return images;
}

/** The pack in `file` if it is complete and was made of exactly these images. */
async function readPack(file: string, wanted: Header): Promise<PackedImages | undefined> {
  const source = await open(file, 'r').catch(() => undefined);
  if (!source) return undefined;
  try {
    const prefix = Buffer.alloc(prefixBytes);
    await source.read(prefix, 0, prefixBytes, 0);
    if (prefix.toString('latin1', 0, 8) !== magic) return undefined;
    const header = Buffer.from(JSON.stringify(wanted));
    if (prefix.readUInt32LE(8) !== header.length) return undefined;
    const found = Buffer.alloc(header.length);
    await source.read(found, 0, found.length, prefixBytes);
    const offset = prefix.readUInt32LE(12);
    const { size, count } = wanted;
    if (!found.equals(header) || (await source.stat()).size !== offset + count * size * size * 3)
      return undefined;
    return { file, offset, size, count };
  } finally {
    await source.close();
  }
}

async function writeHeader(target: FileHandle, header: Header): Promise<number> {
  const json = Buffer.from(JSON.stringify(header));
  const offset = Math.ceil((prefixBytes + json.length) / alignment) * alignment;
  const start = Buffer.alloc(offset);
  start.write(magic, 0, 'latin1');
  start.writeUInt32LE(json.length, 8);
  start.writeUInt32LE(offset, 12);
  json.copy(start, prefixBytes);
  await writeFully(target, start, 0);
  return offset;
}

async function writeFully(target: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await target.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
  }
}
