import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { folderEntries } from './folder-entries.js';

/** How a published data set's own folder is known. */
export interface ArchiveNames {
  /** The name that docs/datasets.md gives, relative to the folder that is given. */
  documented: string;
  /** As archives and other tools name it; small and capital letters and all but letters and digits count for nothing. */
  others: readonly string[];
  /** Paths in it, one of which it must have to be it. */
  holds: readonly string[];
}

/**
 * Where a published data set lies: in a subfolder by one of its names, in a folder of such a name in that one, or in the
 * folder itself; null where it is nowhere.
 */
export async function archiveFolder(folder: string, names: ArchiveNames): Promise<string | null> {
  const known = new Set([...names.documented.split('/'), ...names.others].map(plain));
  const named = async (inside: string): Promise<string[]> => {
    const { entries } = await folderEntries(inside).catch(() => ({ entries: [] }));
    return entries
      .filter(({ name, kind }) => (kind === 'folder' || kind === 'link') && known.has(plain(name)))
      .map(({ name }) => join(inside, name));
  };
  const below = await named(folder);
  const deeper = (await Promise.all(below.map(named))).flat();
  for (const candidate of [join(folder, names.documented), ...below, ...deeper, folder])
    if (await hasOne(candidate, names.holds)) return candidate;
  return null;
}

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

async function hasOne(folder: string, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const there = await access(join(folder, path)).then(
      () => true,
      () => false,
    );
    if (there) return true;
  }
  return false;
}
