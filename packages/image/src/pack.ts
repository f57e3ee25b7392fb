import { randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type DecodeOptions, forEachBounded } from './bounded.js';
import type { ImageError } from './error.js';
import { fileOfImage } from './image-box.js';
import { namedImages } from './image-input.js';
import { ImagePack } from './image-pack.js';
import { type Fingerprint, openPackFile, type PackHeader, PackWriter, packVersion } from './pack-file.js';
import { imageError } from './pixels.js';
import { decodeReduced, imagesAtOnce, type Reduction } from './reduction.js';

/** Images that are in the pack, and in all. */
export interface PackProgress {
  done: number;
  total: number;
}

export interface PackOptions extends DecodeOptions, Reduction {
  /** Where the pack lies; its folder is made. */
  file: string;
  /** Called after each block of images that has been written. */
  onProgress?: ((progress: PackProgress) => void) | undefined;
}

/**
 * Decodes every image once, reduced, into one file (see pack-file.ts), and opens it. The file is written
 * under a temporary name and renamed when it is complete. A pack of the same images in the same order,
 * unchanged since (by bytes and modification time), is used as it is; one that is cut short or damaged is
 * made again.
 *
 * Images that `options.onBad` is told of have no pixels in the pack, which is an ImageError of theirs when they are read
 * from it. They are tried again, and told of again, whenever the pack is opened: it is made anew where one can be read.
 *
 * @returns a pack in the order of `paths`, which belongs to the caller, who disposes it
 * @throws ImageError, unless `options.onBad` is told, naming the first image that cannot be read; the file system's
 *   error where the pack cannot be written; the reason of `options.signal` after it was aborted; what was being
 *   written is removed
 */
export async function packImages(paths: readonly string[], options: PackOptions): Promise<ImagePack> {
  const { size, square = false, filter, squash, file } = options;
  const header = {
    version: packVersion,
    size,
    square,
    filter,
    squash,
    images: await fingerprints(paths, options),
  };
  const openPack = () => {
    const found = openPackFile(file, header);
    return found && new ImagePack(found.descriptor, file, paths, found.table);
  };
  const present = openPack();
  if (present) {
    if (await unreadStay(paths, present.unread, options)) return present;
    present.dispose();
  }
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
  const { onProgress, onBad } = options;
  for (let start = 0; start < paths.length; ) {
    const from = start;
    const { sizes, pixels } = await decodeReduced(
      namedImages(paths.slice(from, from + imagesAtOnce)),
      options,
      {
        ...options,
        onBad: onBad && ((error, place) => onBad(error, from + place)),
      },
    );
    await writer.add(sizes, pixels);
    start += sizes.length;
    onProgress?.({ done: start, total: paths.length });
  }
}

/**
 * Whether none of these images can be read now either, and tells of them where so.
 * @throws ImageError, unless `options.onBad` is told, naming the first of them that still cannot be read
 */
async function unreadStay(
  paths: readonly string[],
  unread: readonly number[],
  options: PackOptions,
): Promise<boolean> {
  const { onBad } = options;
  const errors: [ImageError, number][] = [];
  for (let start = 0; start < unread.length; ) {
    const places = unread.slice(start, start + imagesAtOnce);
    const { sizes } = await decodeReduced(namedImages(places.map((place) => paths[place]!)), options, {
      ...options,
      onBad: onBad && ((error, place) => errors.push([error, places[place]!])),
    });
    start += sizes.length;
  }
  if (errors.length < unread.length) return false;
  for (const [error, place] of errors) onBad?.(error, place);
  return true;
}

async function fingerprints(paths: readonly string[], options: PackOptions): Promise<Fingerprint[]> {
  const images: Fingerprint[] = new Array(paths.length);
  // Of a file of many images it is asked once for all.
  const files = new Map<string, Promise<Stats>>();
  const statOf = (file: string): Promise<Stats> => {
    const entry = files.get(file) ?? stat(file);
    files.set(file, entry);
    return entry;
  };
  await forEachBounded(paths, options, async (path, index) => {
    const file = fileOfImage(path);
    const entry = await (file === path ? stat(file) : statOf(file)).catch(async (error: unknown) => {
      // When it is decoded, it is told of.
      if (options.onBad) return { size: 0, mtimeMs: 0 };
      throw await imageError(path, path, error);
    });
    images[index] = [path, entry.size, Math.round(entry.mtimeMs)];
  });
  return images;
}
