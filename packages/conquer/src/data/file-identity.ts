import { realpath } from 'node:fs/promises';
import { fileIds, fileOfImage, partOfFile } from '@conquer-dml/image';
import type { OwnInGallery } from '../own-in-gallery.js';
import { numberRows } from './number-rows.js';

/** Which files N paths lead to. */
export interface FileIdentities {
  /**
   * (N,) numbers from 0 in the order in which files first come, the same for two paths of one file, or of one box in it: by device and
   * inode, or where there are none by the path without links. -1 where there is none that can be asked for; reading it says why.
   */
  files: Int32Array;
  /** (N,) in bytes. */
  sizes: Float64Array;
}

/** The files that paths lead to, through links of either kind. */
export async function fileIdentities(paths: readonly string[]): Promise<FileIdentities> {
  const leadTo = paths.map((path) => (path.includes('#') ? fileOfImage(path) : path));
  const { ids, sizes } = await fileIds(leadTo);
  // Device and inode, and a number of what else tells two apart, where something does.
  const rows = new Int32Array(5 * paths.length);
  const texts = new Map([['', 0]]);
  for (const [i, path] of paths.entries()) {
    if (sizes[i]! < 0) continue;
    for (let at = 0; at < 4; at++) rows[5 * i + at] = ids[4 * i + at]!;
    const file = leadTo[i]!;
    const hasInode = ids[4 * i + 2] !== 0 || ids[4 * i + 3] !== 0;
    if (hasInode && file === path) continue;
    const real = hasInode ? '' : await realpath(file).catch(() => null);
    if (real === null) sizes[i] = -1;
    else {
      const text = `${real}${path.slice(file.length)}`;
      if (!texts.has(text)) texts.set(text, texts.size);
      rows[5 * i + 4] = texts.get(text)!;
      sizes[i] = partOfFile(path)?.length ?? sizes[i]!;
    }
  }
  return { files: numberRows(rows, 5, (i) => sizes[i]! >= 0), sizes };
}

/**
 * Where in a gallery the queries' own files, or own boxes, stand: by the files' identities, so that another name or a link makes no
 * difference. A copy is another file.
 */
export async function ownInGallery(
  queries: readonly string[],
  gallery: readonly string[],
): Promise<OwnInGallery> {
  const { files } = await fileIdentities([...gallery, ...queries]);
  const asked = new Set(files.subarray(gallery.length));
  const places = new Map<number, number[]>();
  for (const [position, file] of files.subarray(0, gallery.length).entries()) {
    if (file < 0 || !asked.has(file)) continue;
    const known = places.get(file);
    if (known) known.push(position);
    else places.set(file, [position]);
  }
  const own = new Map<number, readonly number[]>();
  for (const [query, file] of files.subarray(gallery.length).entries()) {
    const found = places.get(file);
    if (found) own.set(query, found);
  }
  return own;
}
