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

/** An image file as it stood when the folder was read. */
export interface ImageFile extends FileStamp {
  /** Relative to the folder. */
  path: string;
}

/** Images of one folder, one after the other. */
export interface ImagesOfFolder {
  /** Relative to the folder that was asked for; its own is ''. */
  inside: string;
  names: string[];
}

export interface ImageTree<Images = ImageFile> {
  /** Folder by folder, names in the order of code points; what lies in a folder comes at the place of its name. */
  images: Images[];
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
  const root = resolve(folder);
  return await walkImages<ImageFile, ImageFile>(
    folder,
    async (path) => {
      const stats = await stat(join(root, path));
      return { kind: 'image', image: { path, size: stats.size, modified: stats.mtimeMs } };
    },
    (images, image) => images.push(image),
  );
}

/** Their names alone, without asking for each file's size and time, which takes longer than to list them. */
export async function findImageNames(folder: string): Promise<ImageTree<ImagesOfFolder>> {
  return await walkImages<ImagesOfFolder, null>(
    folder,
    () => aName,
    (images, _, inside, name) => {
      const last = images.at(-1);
      if (last?.inside === inside) last.names.push(name);
      else images.push({ inside, names: [name] });
    },
  );
}

const aName = { kind: 'image', image: null } as const;

/**
 * @param asked of an image file, that the folder lists as such or a link leads to, by its path in the folder
 * @param add puts it to the others
 */
async function walkImages<Images, Image>(
  folder: string,
  asked: (path: string) => Look<Image>,
  add: (images: Images[], image: Image, inside: string, name: string) => void,
): Promise<ImageTree<Images>> {
  const root = resolve(folder);
  const tree: ImageTree<Images> = { images: [], folders: [], leftOut: new LeftOut() };
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
      const looked = some.map((entry) => look(root, inside, entry, asked));
      for (const [i, { name }] of some.entries()) {
        const one = looked[i]!;
        const seen = one instanceof Promise ? await one : one;
        if (seen.kind === 'image') {
          add(tree.images, seen.image, inside, name);
          continue;
        }
        const path = within(inside, name);
        if (seen.kind === 'left out') tree.leftOut.addFile(seen.as, path);
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

/** Where the folder's own list says all, no promise: of a million files they take seconds. */
type Look<Image> = Seen<Image> | Promise<Seen<Image>>;

function look<Image>(
  root: string,
  inside: string,
  { name, kind }: FolderEntry,
  asked: (path: string) => Look<Image>,
): Look<Image> {
  if (kind === 'folder') return { kind: 'folder', target: null };
  const extension = extname(name).toLowerCase();
  const isImage = imageExtensions.includes(extension);
  // Of a file that is no image nothing is asked: a folder may hold many.
  if (kind === 'file' && !isImage && extension !== '') return { kind: 'left out', as: extension };
  const ask = () => asked(within(inside, name));
  const seen = kind === 'file' && isImage ? ask() : follow(join(root, inside, name), extension, isImage, ask);
  if (!(seen instanceof Promise)) return seen;
  return seen.catch(({ code }: NodeJS.ErrnoException) => {
    const as =
      kind === 'link' && (code === 'ENOENT' || code === 'ELOOP')
        ? 'linked to nothing'
        : code === 'ENOENT'
          ? 'gone meanwhile'
          : 'unreadable';
    return { kind: 'left out', as };
  });
}

/** What a link leads to, or a file is that has no extension. */
async function follow<Image>(
  path: string,
  extension: string,
  isImage: boolean,
  asked: () => Look<Image>,
): Promise<Seen<Image>> {
  const stats = await stat(path);
  if (stats.isDirectory()) return { kind: 'folder', target: await realpath(path) };
  if (!stats.isFile()) return { kind: 'left out', as: 'not regular' };
  if (isImage) return await asked();
  if (extension !== '') return { kind: 'left out', as: extension };
  const holdsImage = await beginsAsImage(path);
  return {
    kind: 'left out',
    as: holdsImage ? 'without an extension though an image' : 'without an extension',
  };
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

/** A name in a folder, '' being the tree's own. `join` would look at all parts again. */
const within = (inside: string, name: string) => (inside === '' ? name : `${inside}${sep}${name}`);

const isWithin = (path: string, folder: string) => path === folder || path.startsWith(join(folder, sep));

function unreadable(folder: string, { code }: NodeJS.ErrnoException): UserError {
  const found =
    { ENOENT: 'there is no such folder', ENOTDIR: 'it is a file' }[code ?? ''] ??
    `it cannot be read (${code})`;
  return new UserError(`${folder}: expected a folder of images, but ${found}`);
}
