import { realpath, stat } from 'node:fs';
import { fragmentOfImage, partOfFile } from '@conquer-dml/image';
import { fileOfImage } from '@conquer-dml/run';
import type { OwnInGallery } from '../own-in-gallery.js';

/** Which file a path leads to. */
export interface FileIdentity {
  /** The same for two paths of one file, or of one box in it: device and inode, or where there are none the path without links. */
  id: string;
  /** Bytes. */
  size: number;
}

/** Files asked for at once. */
const AT_ONCE = 256;

/** The files that paths lead to, through links of either kind; null where there is none that can be asked for. */
export async function fileIdentities(paths: readonly string[]): Promise<(FileIdentity | null)[]> {
  const found: (FileIdentity | null)[] = [];
  // Of a file of many images it is asked once for all.
  const shared = new Map<string, Promise<FileIdentity | null>>();
  const identityOf = async (path: string): Promise<FileIdentity | null> => {
    const file = fileOfImage(path);
    if (file === path) return await identityOfFile(file);
    let asked = shared.get(file);
    if (!asked) {
      asked = identityOfFile(file);
      shared.set(file, asked);
    }
    const whole = await asked;
    const part = partOfFile(path);
    return whole && { id: `${whole.id}${fragmentOfImage(path)}`, size: part?.length ?? whole.size };
  };
  for (let start = 0; start < paths.length; start += AT_ONCE)
    for (const identity of await Promise.all(paths.slice(start, start + AT_ONCE).map(identityOf)))
      found.push(identity);
  return found;
}

/** By a callback, which takes half of the processor's time of a promise: of a million files that is seconds. */
function identityOfFile(file: string): Promise<FileIdentity | null> {
  return new Promise((resolve) => {
    // Inodes may be larger than a double holds.
    stat(file, { bigint: true }, (error, found) => {
      if (error) return resolve(null); // read later, which says what is wrong with it
      const { dev, ino } = found;
      const size = Number(found.size);
      if (ino !== 0n) return resolve({ id: `${dev}:${ino}`, size });
      realpath(file, (unreal, id) => resolve(unreal ? null : { id, size }));
    });
  });
}

/**
 * Where in a gallery the queries' own files, or own boxes, stand: by the files' identities, so that another name or a link makes no
 * difference. A copy is another file.
 */
export async function ownInGallery(
  queries: readonly string[],
  gallery: readonly string[],
): Promise<OwnInGallery> {
  const places = new Map<string, number[]>();
  for (const [position, identity] of (await fileIdentities(gallery)).entries()) {
    if (identity === null) continue;
    const known = places.get(identity.id);
    if (known) known.push(position);
    else places.set(identity.id, [position]);
  }
  const own = new Map<number, readonly number[]>();
  for (const [query, identity] of (await fileIdentities(queries)).entries()) {
    const found = identity && places.get(identity.id);
    if (found) own.set(query, found);
  }
  return own;
}
