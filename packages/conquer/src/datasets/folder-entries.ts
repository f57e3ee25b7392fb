import { isUtf8 } from 'node:buffer';
import { type Dirent, type PathLike, promises } from 'node:fs';

/** What a folder holds under a name; a link is not followed. `other`: a socket, a pipe, a device. */
export interface FolderEntry {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
}

export interface FolderEntries {
  /** By name, in the order of code points. */
  entries: FolderEntry[];
  /** Names that are not UTF-8, their bytes beyond ASCII as `\xe9`: no string opens such a file. */
  notUtf8: string[];
}

// As an overload for Node's types: with an encoding of 'buffer' the names are bytes.
const readdirOfBytes = promises.readdir as (
  path: PathLike,
  options: { withFileTypes: true; encoding: 'buffer' },
) => Promise<(Omit<Dirent, 'name'> & { name: Buffer })[]>;

/**
 * What lies in a folder. Node would put U+FFFD for what is not UTF-8 in a name, which then names no file.
 *
 * @throws the file system's error where the folder cannot be read
 */
export async function folderEntries(folder: string): Promise<FolderEntries> {
  const entries: FolderEntry[] = [];
  const notUtf8: string[] = [];
  for (const entry of await readdirOfBytes(folder, { withFileTypes: true, encoding: 'buffer' })) {
    if (!isUtf8(entry.name)) {
      notUtf8.push(
        entry.name.toString('latin1').replace(/[\x80-\xff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`),
      );
      continue;
    }
    const kind = entry.isFile()
      ? 'file'
      : entry.isDirectory()
        ? 'folder'
        : entry.isSymbolicLink()
          ? 'link'
          : 'other';
    entries.push({ name: entry.name.toString(), kind });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { entries, notUtf8: notUtf8.sort() };
}
