import { isUtf8 } from 'node:buffer';
import { type Dirent, type PathLike, promises, readdirSync } from 'node:fs';
import { byCodePoint } from './code-point-order.js';

/** What a folder holds under a name; a link is not followed. `other`: a socket, a pipe, a device. */
export interface FolderEntry {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
}

export interface FolderEntries {
  /** By name, in the order of code points. */
  entries: FolderEntry[];
  /** Those whose names are not UTF-8, with bytes beyond ASCII as `\\xe9`: no string opens such a file. */
  notUtf8: FolderEntry[];
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
  const notUtf8: FolderEntry[] = [];
  // Names as bytes cost several times as much: only where one may not be UTF-8 are they asked for.
  const found = await promises.readdir(folder, { withFileTypes: true });
  if (!found.some(({ name }) => name.includes('\ufffd')))
    for (const entry of found) entries.push({ name: entry.name, kind: kindOf(entry) });
  else
    for (const entry of await readdirOfBytes(folder, { withFileTypes: true, encoding: 'buffer' })) {
      const kind = kindOf(entry);
      if (isUtf8(entry.name)) entries.push({ name: entry.name.toString(), kind });
      else notUtf8.push({ name: escaped(entry.name), kind });
    }
  const byName = (a: FolderEntry, b: FolderEntry) => byCodePoint(a.name, b.name);
  return { entries: entries.sort(byName), notUtf8: notUtf8.sort(byName) };
}

/**
 * The names in a folder, and whether each is a link; in no order. At once: a promise for each of many small folders takes three times as
 * long as to read it.
 *
 * @throws the file system's error where the folder cannot be read
 */
export async function linksAmong(folder: string): Promise<Map<string, boolean>> {
  const links = new Map<string, boolean>();
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name.includes('\ufffd')) {
      const { entries } = await folderEntries(folder);
      return new Map(entries.map(({ name, kind }) => [name, kind === 'link']));
    }
    links.set(entry.name, entry.isSymbolicLink());
  }
  return links;
}

function kindOf(entry: Pick<Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink'>): FolderEntry['kind'] {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

function escaped(name: Buffer): string {
  return name.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`);
}
