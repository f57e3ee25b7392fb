import { decodeImages } from '@conquer-dml/image';
import { BadImages } from '../data/bad-images.js';
import type { Dataset } from './dataset.js';

/** Images checked at once. */
const BLOCK = 256;
const SIDE = 8;

export interface CheckImagesOptions {
  /** Told of each bad image, now or later, in a line that names it and the reason. */
  onBad: (message: string) => void;
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Ends the check early. */
  signal?: AbortSignal | undefined;
}

/**
 * Decodes every file of a data set once.
 *
 * @returns those that cannot be read; images that go bad later are added to it
 * @throws UserError where more than 5 % are bad
 */
export async function checkImages(
  dataset: Dataset,
  { onBad, onProgress, signal }: CheckImagesOptions,
): Promise<BadImages> {
  const paths = pathsOf(dataset);
  const bad = new BadImages(paths.length, onBad);
  for (let start = 0; start < paths.length; start += BLOCK) {
    const block = paths.slice(start, start + BLOCK);
    const requests = block.map((image) => ({
      image,
      size: { width: SIDE, height: SIDE },
      fit: 'cover' as const,
    }));
    const out = new Uint8Array(block.length * SIDE * SIDE * 3);
    await decodeImages(requests, out, { signal, onBad: (error) => bad.add(error) });
    onProgress?.({ done: Math.min(start + BLOCK, paths.length), total: paths.length });
  }
  return bad;
}

/** All files of a data set, each once. */
export function pathsOf({ train, validation, test, gallery, testSets = [] }: Dataset): string[] {
  const splits = [train, validation, test, gallery, ...testSets].filter((split) => split !== undefined);
  return [...new Set(splits.flatMap((split) => split.paths))];
}
