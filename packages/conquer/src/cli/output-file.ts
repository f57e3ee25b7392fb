import { accessSync, constants, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '@conquer-dml/run';

/**
 * Sees to it, before any work, that a file can be written.
 * @param option that names the file
 * @throws UserError where its folder is not there or cannot be written to, or the file is no file
 */
export function requireWritable(option: string, file: string): void {
  const folder = dirname(resolve(file));
  const kind = kindOf(folder);
  if (kind === null)
    throw new UserError(`${option} ${file}: there is no folder ${folder}; make it, or name another`);
  if (kind !== 'folder') throw new UserError(`${option} ${file}: ${folder} is not a folder`);
  const there = kindOf(file);
  if (there === 'folder') throw new UserError(`${option} ${file}: expected a file, but it is a folder`);
  try {
    // A file is written under another name first, and renamed.
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UserError(
      `${option} ${file}: ${folder} cannot be written to (${(error as NodeJS.ErrnoException).code}); name another folder`,
    );
  }
}

/**
 * The same of a folder that is made, or written into where it is there.
 * @throws UserError where its parent is not there or cannot be written to, or it is a file
 */
export function requireWritableFolder(option: string, path: string): void {
  const kind = kindOf(path);
  if (kind === 'other')
    throw new UserError(`${option} ${path}: expected a folder, it is a file; name another`);
  requireWritable(option, kind === 'folder' ? join(path, 'manifest.json') : path);
}

/** null where there is nothing, or nothing that can be looked at. */
function kindOf(path: string): 'folder' | 'other' | null {
  try {
    const stats = statSync(path);
    return stats.isDirectory() ? 'folder' : 'other';
  } catch {
    return null;
  }
}
