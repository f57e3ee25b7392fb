import { existsSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { givenFolder, type IndexOrigin, likeliestFolder } from './index-contents.js';
import type { IndexedImage } from './index-item.js';
import type { StoredOrigin } from './index-manifest.js';

/** An origin as it is written into the index at `path`. */
export function storedOrigin(origin: IndexOrigin, path: string): StoredOrigin {
  const here = dirname(resolve(path));
  const { source } = origin;
  return {
    ...origin,
    relativeFolder: relative(here, origin.folder),
    relativeSource: source !== null && isAbsolute(source) ? relative(here, source) : null,
  };
}

/**
 * The other way. Folder and run are found where they were, or where they lie as seen from the index, if all were moved together.
 *
 * @param path of the index
 * @param images some of those that are in it
 * @param given where the folder of images is now
 * @throws UserError where the folder that is given is another one
 */
export function originAt(
  { relativeFolder, relativeSource, ...origin }: StoredOrigin,
  path: string,
  images: readonly IndexedImage[],
  given: string | undefined,
): IndexOrigin {
  const here = dirname(resolve(path));
  const sources = [origin.source, relativeSource === null ? null : resolve(here, relativeSource)];
  return {
    ...origin,
    folder:
      given === undefined
        ? likeliestFolder([origin.folder, resolve(here, relativeFolder)], images)
        : givenFolder(given, images, path),
    source: sources.find((source) => source !== null && existsSync(source)) ?? origin.source,
  };
}
