import { open, realpath, stat } from 'node:fs/promises';
import { extname, join, resolve, sep } from 'node:path';
import { type FileStamp, UserError } from '@conquer-dml/run';
import { type FolderEntry, folderEntries } from './folder-entries.js';
import { LeftOut } from './left-out.js';

/** What is read as an image, by its name. */
export const imageExtensions = [
  '.jpg',
  '.jpeg',
  '.jfif',
  '.png',
  '.bmp',
  '.webp',
  '.svg',
  '.gif',
  '.tif',
  '.tiff',
  '.avif',
];

/** An image file by its name. */
export interface NamedFile {
  /** Relative to the folder. */
  path: string;
}

/** An image file as it stood when the folder was read. */
export interface ImageFile extends NamedFile, FileStamp {}

export interface ImageTree<Image extends NamedFile = ImageFile> {
  /** Folder by folder, names in the order of code points. */
  images: Image[];
  /** The folders that were read, relative to the folder; its own is ''. */
  folders: string[];
  /** All other files whose names do not begin with a dot, and folders that were not entered. */
  leftOut: LeftOut;
}

/** Files looked at at once. */
const AT_ONCE = 256;

/**
 * The image files in a folder and in all folders below it, by their extensions. Names that begin with a dot are passed
 * over. What cannot be read, or goes away meanwhile, is left out and counted, never an error.
 *
 * Links to files are followed. A link to a folder is followed where it leads out of the tree; what it shows that the tree
 * holds anyway is read in its own place only, so that links to themselves or to a folder above end nothing.
 *
 * @throws UserError where the folder itself is none or cannot be read
 */
export async function findImages(folder: string): Promise<ImageTree> {
  return await walkImages(folder, async (path, inFolder) => {
    const stats = await stat(path);
    return { path: inFolder, size: stats.size, modified: stats.mtimeMs };
  });
}

/** The same without asking for each file's size and time, which takes longer than to list them. */
export async function findImageNames(folder: string): Promise<ImageTree<NamedFile>> {
  return await walkImages(folder, async (_, path) => ({ path }));
}

/** @param asked of an image file, that the folder lists as such or a link leads to, and its path in the folder */
async function walkImages<Image extends NamedFile>(
  folder: string,
  asked: (path: string, inFolder: string) => Promise<Image>,
): Promise<ImageTree<Image>> {
  const root = resolve(folder);
  const tree: ImageTree<Image> = { images: [], folders: [], leftOut: new LeftOut() };
  const entered = [
    await realpath(root).catch((error: NodeJS.ErrnoException) => {
      throw unreadable(folder, error);
    }),
  ];

  const walk = async (inside: string): Promise<void> => {
    const found = await folderEntries(join(root, inside)).catch((error: NodeJS.ErrnoException) => {
      if (inside === '') throw unreadable(folder, error);
      tree.leftOut.addFolder(error.code === 'ENOENT' ? 'gone meanwhile' : 'unreadable', inside);
    });
    if (!found) return;
    tree.folders.push(inside);
    for (const { name, kind } of found.notUtf8) {
      if (kind === 'folder') tree.leftOut.addFolder('with a name that is not UTF-8', join(inside, name));
      else tree.leftOut.addFile('with a name that is not UTF-8', join(inside, name));
    }
    const entries = found.entries.filter(({ name }) => !name.startsWith('.'));
    for (let start = 0; start < entries.length; start += AT_ONCE) {
      const some = entries.slice(start, start + AT_ONCE);
      const looked = await Promise.all(some.map((entry) => look(root, inside, entry, asked)));
      for (const [i, { name }] of some.entries()) {
        const path = join(inside, name);
        const seen = looked[i]!;
        if (seen.kind === 'image') tree.images.push(seen.image);
        else if (seen.kind === 'left out') tree.leftOut.addFile(seen.as, path);
        else if (seen.target === null) await walk(path);
        else if (entered.some((other) => isWithin(seen.target!, other)))
          tree.leftOut.addFolder('linked to what is read anyway', path);
        else if (entered.some((other) => isWithin(other, seen.target!)))
          tree.leftOut.addFolder('linked to a folder above', path);
        else {
          entered.push(seen.target);
          await walk(path);
        }
      }
    }
  };
  await walk('');
  return tree;
}

type Seen<Image> =
  | { kind: 'image'; image: Image }
  | { kind: 'left out'; as: string }
  /** `target`: where a link leads to. */
  | { kind: 'folder'; target: string | null };

async function look<Image>(
  root: string,
  inside: string,
  { name, kind }: FolderEntry,
  asked: (path: string, inFolder: string) => Promise<Image>,
): Promise<Seen<Image>> {
  if (kind === 'folder') return { kind: 'folder', target: null };
  const inFolder = join(inside, name);
  const path = join(root, inFolder);
  try {
    const extension = extname(name).toLowerCase();
    const isImage = imageExtensions.includes(extension);
    // Of a file that is no image nothing is asked: a folder may hold many.
    if (kind === 'file' && !isImage && extension !== '') return { kind: 'left out', as: extension };
    if (kind === 'file' && isImage) return { kind: 'image', image: await asked(path, inFolder) };
    const stats = await stat(path);
    if (stats.isDirectory()) return { kind: 'folder', target: await realpath(path) };
    if (!stats.isFile()) return { kind: 'left out', as: 'not regular' };
    if (isImage) return { kind: 'image', image: await asked(path, inFolder) };
    if (extension !== '') return { kind: 'left out', as: extension };
    const holdsImage = await beginsAsImage(path);
    return {
      kind: 'left out',
      as: holdsImage ? 'without an extension though an image' : 'without an extension',
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const as =
      kind === 'link' && (code === 'ENOENT' || code === 'ELOOP')
        ? 'linked to nothing'
        : code === 'ENOENT'
          ? 'gone meanwhile'
          : 'unreadable';
    return { kind: 'left out', as };
  }
}

/** How image files begin: JPEG, PNG, GIF, TIFF (both byte orders), BMP; RIFF is WebP's, `ftyp` AVIF's and HEIC's. */
const beginnings =
  /^(\xff\xd8\xff|\x89PNG|GIF8|II\*\0|MM\0\*|BM....\0\0\0\0|RIFF....WEBP|....ftyp(avi|hei|mif))/s;

async function beginsAsImage(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(12), 0, 12, 0);
    return beginnings.test(buffer.toString('latin1', 0, bytesRead));
  } finally {
    await file.close();
  }
}

const isWithin = (path: string, folder: string) => path === folder || path.startsWith(join(folder, sep));

function unreadable(folder: string, { code }: NodeJS.ErrnoException): UserError {
  const found =
    { ENOENT: 'there is no such folder', ENOTDIR: 'it is a file' }[code ?? ''] ??
    `it cannot be read (${code})`;
  return new UserError(`${folder}: expected a folder of images, but ${found}`);
}
