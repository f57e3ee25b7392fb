import { dirname, sep } from 'node:path';

/** The deepest folder that holds all of these images (absolute paths), or null if only the root does. */
export function commonFolder(paths: readonly string[]): string | null {
  let folder = paths[0] === undefined ? '/' : dirname(paths[0]);
  for (const path of paths)
    while (!path.startsWith(`${folder}${sep}`) && folder !== dirname(folder)) folder = dirname(folder);
  return folder === dirname(folder) ? null : folder;
}
