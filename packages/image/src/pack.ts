import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DecodeOptions, forEachBounded } from './bounded.js';
import { decodeImages } from './decode.js';
import { ImageError } from './error.js';
import { ImagePack } from './image-pack.js';
import { type Fingerprint, openPackFile, type PackHeader, PackWriter, packVersion } from './pack-file.js';
import { type ImageSize, imageSizes } from './pixels.js';

/** Images that are in the pack, and in all. */
export interface PackProgress {
  done: number;
  total: number;
}

export interface PackOptions extends DecodeOptions {
  /** Length in pixels that the short side is reduced to. Smaller images stay as they are, unless `square`. */
  size: number;
  /**
   * Resize every image to cover `size`×`size` and cut it at the centre, instead of keeping its ratio. Default
   * false.
   */
  square?: boolean | undefined;
  /** Where the pack lies; its folder is made. */
  file: string;
  /** Called after each block of images that has been written. */
  onProgress?: ((progress: PackProgress) => void) | undefined;
}

const blockImages = 256;
const blockBytes = 2 ** 26;
/** Of an image in a pack, in pixels. */
const longestSide = 65_535;

/**
 * Decodes every image once, reduced, into one file (see pack-file.ts), and opens it. The file is written
 * under a temporary name and renamed when it is complete. A pack of the same images in the same order,
 * unchanged since (by bytes and modification time), is used as it is; one that is cut short or damaged is
 * made again.
 * @returns a pack in the order of `paths`, which belongs to the caller, who disposes it
 * @throws ImageError naming the first image that cannot be read; the reason of `options.signal` after it was
 *   aborted; what was being written is removed
 */
export async function packImages(paths: readonly string[], options: PackOptions): Promise<ImagePack> {
  const { size, square = false, file } = options;
  const header = { version: packVersion, size, square, images: await fingerprints(paths, options) };
  const openPack = () => {
    const found = openPackFile(file, header);
    return found && new ImagePack(found.descriptor, file, paths, found.table);
  };
  const present = openPack();
  if (present) return present;
  await writePack(paths, header, options);
  const made = openPack();
  if (!made) throw new Error(`${file} is not what was written there: does another process write to it?`);
  return made;
}

async function writePack(paths: readonly string[], header: PackHeader, options: PackOptions): Promise<void> {
  const { file } = options;
  await mkdir(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}-${randomUUID().slice(0, 8)}.part`;
  const target = await open(temporary, 'wx');
  try {
    const writer = await PackWriter.create(target, header);
    await writeImages(writer, paths, options);
    await writer.finish();
    await target.close();
    await rename(temporary, file);
  } catch (error) {
    await target.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeImages(
  writer: PackWriter,
  paths: readonly string[],
  options: PackOptions,
): Promise<void> {
  const { size, square = false, onProgress } = options;
  for (let start = 0; start < paths.length; ) {
    let block = paths.slice(start, start + blockImages);
    let sizes = square
      ? block.map(() => ({ width: size, height: size }))
      : (await imageSizes(block, options)).map((image) => reduced(image, size));
    // Long panoramas: as many as fit into memory, and at least one.
    let bytes = 0;
    const fitting = sizes.findIndex(({ width, height }) => {
      bytes += width * height * 3;
      return bytes > blockBytes;
    });
    if (fitting >= 0) {
      block = block.slice(0, Math.max(1, fitting));
      sizes = sizes.slice(0, block.length);
    }
    const pixels = new Uint8Array(sizes.reduce((sum, { width, height }) => sum + width * height * 3, 0));
    const fit = square ? 'cover' : 'fill';
    await decodeImages(
      block.map((path, index) => ({ path, size: sizes[index]!, fit })),
      pixels,
      options,
    );
    await writer.add(sizes, pixels);
    start += block.length;
    onProgress?.({ done: start, total: paths.length });
  }
}

/** The size with a short side of at most `short`, the ratio kept. */
function reduced({ width, height }: ImageSize, short: number): ImageSize {
  const scale = Math.min(1, short / Math.min(width, height), longestSide / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
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
