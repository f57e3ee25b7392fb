import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ImageFiles, type ImageSet, type PackProgress, packImages, type Reduction } from '@conquer-dml/image';
import { cacheError, cacheFolder } from '../cache-folder.js';
import type { BadImages } from './bad-images.js';

export interface PackedImagesOptions {
  /** Images known to be bad, and those that are found so now; by default none may be. */
  bad?: BadImages | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Ends the decoding. */
  signal?: AbortSignal | undefined;
  /** Told while images are decoded, which is once. */
  onProgress?: ((progress: PackProgress) => void) | undefined;
}

/**
 * Images decoded once, reduced, and kept in the cache folder.
 *
 * @param name of the file there; the paths tell it from others of the name
 * @throws UserError where the file cannot be kept
 */
export async function packedImages(
  name: string,
  paths: readonly string[],
  reduction: Reduction,
  { bad, ...options }: PackedImagesOptions,
): Promise<ImageSet> {
  if (paths.length === 0) return new ImageFiles(paths);
  const key = createHash('sha256').update(paths.join('\n')).digest('hex').slice(0, 12);
  const { size, square = false, filter, squash = false } = reduction;
  const shape = `${square ? '' : squash ? 'squashed-' : 'short-'}${size}${filter ? `-${filter}` : ''}`;
  const file = join(cacheFolder(), 'packs', `${name}-${shape}-${key}.pack`);
  try {
    return await packImages(paths, {
      ...options,
      ...reduction,
      file,
      onBad: bad && ((error) => bad.add(error)),
    });
  } catch (error) {
    throw cacheError('decoded images', file, error);
  }
}
