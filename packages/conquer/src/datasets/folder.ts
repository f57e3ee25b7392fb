import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../error.js';
import { Random } from '../random.js';
import { type Dataset, type ImageClass, splitOfClasses } from './dataset.js';
import { imageExtensions } from './image-tree.js';

/**
 * How the classes are divided into training and test:
 * - `halves`: sorted by name (by code point), the first half trains (the larger one if their number is odd);
 * - `list`: the classes named in a text file train, the others test. UTF-8, a class name (the subfolder's name) a
 *   line; blank lines and lines that begin with `#` are ignored, as are spaces around a name;
 * - `fraction`: that share of the classes, shuffled by the seed and rounded, trains.
 */
export type FolderSplit =
  | { kind: 'halves' }
  | { kind: 'list'; file: string }
  | { kind: 'fraction'; fraction: number; seed: number };

export interface FolderOptions {
  /** The folder with a subfolder of images for each class. */
  folder: string;
  /** Default `halves`. */
  split?: FolderSplit | undefined;
  /** Told of what is left out, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

const byCodePoint = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Images of one's own: a class per subfolder, whose image files (by extension, not in deeper folders) are its
 * images. Names that begin with a dot are ignored; a class without images is left out with a warning. The
 * data set has the folder's name; recall is reported at 1, 2, 4 and 8.
 * @throws UserError if the folder, the list or the split cannot work: it cannot be read, a listed class is
 *   not there, the fraction is not in (0, 1), or the training or test part lacks a second class or a class
 *   with two images
 */
export async function openFolder(options: FolderOptions): Promise<Dataset> {
  const folder = resolve(options.folder);
  const classes = await readClasses(folder, options.onWarning);
  const [train, test] = await splitClasses(classes, folder, options.split ?? { kind: 'halves' });
  for (const [name, part] of Object.entries({ training: train, test })) {
    if (part.length < 2) {
      throw new UserError(
        `${folder}: expected at least 2 classes for ${name}, the split leaves ${part.length} of ${classes.length}; add class folders or choose another split`,
      );
    }
    if (part.every(({ paths }) => paths.length < 2)) {
      throw new UserError(
        `${folder}: expected a class with at least 2 images for ${name}, each of the ${part.length} has only one; nothing can be compared`,
      );
    }
  }
  return {
    name: basename(folder),
    train: splitOfClasses('train', train),
    test: splitOfClasses('test', test),
    recallAt: [1, 2, 4, 8],
  };
}

async function readClasses(folder: string, onWarning?: (message: string) => void): Promise<ImageClass[]> {
  const classes: ImageClass[] = [];
  for (const name of await list(folder, 'folders')) {
    const paths = (await list(join(folder, name), 'images')).map((file) => join(folder, name, file));
    if (paths.length > 0) classes.push({ name, paths });
    else onWarning?.(`${join(folder, name)} is left out: it holds no images (${imageExtensions.join(', ')})`);
  }
  if (classes.length === 0) {
    throw new UserError(
      `${folder}: expected a subfolder of images for each class, found none with images (${imageExtensions.join(', ')})`,
    );
  }
  return classes;
}

/** The subfolders or the image files of a folder, sorted; links are followed. */
async function list(folder: string, wanted: 'folders' | 'images'): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    const found =
      { ENOENT: 'there is no such folder', ENOTDIR: 'it is a file' }[error.code ?? ''] ?? error.code;
    throw new UserError(
      `${folder}: expected a folder with a subfolder of images for each class, but ${found}`,
    );
  });
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const isImage = imageExtensions.includes(entry.name.slice(entry.name.lastIndexOf('.')).toLowerCase());
    if (wanted === 'images') {
      if (isImage && !entry.isDirectory()) names.push(entry.name);
    } else if (entry.isDirectory() || (entry.isSymbolicLink() && !isImage)) {
      names.push(entry.name);
    }
  }
  return names.sort(byCodePoint);
}

async function splitClasses(
  classes: readonly ImageClass[],
  folder: string,
  split: FolderSplit,
): Promise<[train: ImageClass[], test: ImageClass[]]> {
  switch (split.kind) {
    case 'halves': {
      const half = Math.ceil(classes.length / 2);
      return [classes.slice(0, half), classes.slice(half)];
    }
    case 'list': {
      const listed = await readList(split.file, new Set(classes.map(({ name }) => name)), folder);
      return [
        classes.filter(({ name }) => listed.has(name)),
        classes.filter(({ name }) => !listed.has(name)),
      ];
    }
    case 'fraction': {
      if (!(split.fraction > 0 && split.fraction < 1)) {
        throw new UserError(
          `expected a fraction of the classes between 0 and 1 for training, got ${split.fraction}`,
        );
      }
      const order = new Random(split.seed).permutation(classes.length);
      const chosen = new Set(order.subarray(0, Math.round(split.fraction * classes.length)));
      return [
        classes.filter((_, index) => chosen.has(index)),
        classes.filter((_, index) => !chosen.has(index)),
      ];
    }
  }
}

async function readList(file: string, known: ReadonlySet<string>, folder: string): Promise<Set<string>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `${file}: expected a text file with the name of a training class on each line, but it cannot be read (${error.code})`,
    );
  });
  const listed = new Set<string>();
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const name = line.trim();
    if (name === '' || name.startsWith('#')) continue;
    if (!known.has(name)) {
      throw new UserError(
        `${file}, line ${index + 1}: expected the name of a subfolder with images in ${folder}, got ${JSON.stringify(name)}`,
      );
    }
    listed.add(name);
  }
  return listed;
}
