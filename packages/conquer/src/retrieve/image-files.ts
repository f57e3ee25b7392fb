import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { imageExtensions } from '../datasets/image-tree.js';
import { UserError } from '../error.js';

/** A file as it stood: when one of the numbers differs, it has changed. */
export interface FileStamp {
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  modified: number;
}

/**
 * The image files in a folder and the folders in it, by their extensions, in the order of their names; names
 * that begin with a dot are left out. Links to files are followed, links to folders are not.
 *
 * @returns stamps by path, relative to the folder
 * @throws UserError when it is no folder, cannot be read, or holds no image
 */
export function imageFilesIn(folder: string): Map<string, FileStamp> {
  const files = new Map<string, FileStamp>();
  const walk = (inside: string): void => {
    for (const entry of entriesOf(join(folder, inside))) {
      if (entry.name.startsWith('.')) continue;
      const path = join(inside, entry.name);
      const stats = entry.isSymbolicLink()
        ? statSync(join(folder, path), { throwIfNoEntry: false })
        : entry.isFile() && isImage(entry.name)
          ? statSync(join(folder, path))
          : undefined;
      if (entry.isDirectory()) walk(path);
      else if (stats?.isFile() && isImage(entry.name))
        files.set(path, { size: stats.size, modified: stats.mtimeMs });
    }
  };
  walk('');
  if (files.size === 0)
    throw new UserError(
      `${folder}: expected images in it or its subfolders (${imageExtensions.join(', ')}), found none`,
    );
  return files;
}

const isImage = (name: string) => imageExtensions.includes(name.slice(name.lastIndexOf('.')).toLowerCase());

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new UserError(`expected a folder of images, but it cannot be read: ${(error as Error).message}`);
  }
}
