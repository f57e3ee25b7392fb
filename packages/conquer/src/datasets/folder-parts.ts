import { join, sep } from 'node:path';
import { counted, UserError } from '@conquer-dml/run';
import { type ClassSplit, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import type { ImageClass } from './dataset.js';
import { type ImagesOfFolder, type ImageTree, imageExtensions } from './image-tree.js';

/** Classes by the part of the data set that they are for. */
export interface FolderParts {
  train: ImageClass[];
  validation: ImageClass[];
  test: ImageClass[];
}

/** Names of folders that stand for a part and hold class folders themselves, in small letters. */
const partNames: Record<string, keyof FolderParts> = {
  train: 'train',
  training: 'train',
  val: 'validation',
  valid: 'validation',
  validation: 'validation',
  test: 'test',
  testing: 'test',
};

/**
 * The classes of a folder and how they are divided, and in the tree's `leftOut` the images that are of no class.
 *
 * @throws UserError where there are none, the split cannot be made, or a class is in two parts
 */
export async function readParts(
  folder: string,
  tree: ImageTree<ImagesOfFolder>,
  split: ClassSplit,
  onWarning?: (message: string) => void,
): Promise<FolderParts> {
  const insides = tree.images.map(({ inside }) => inside);
  const folders = namesAt(insides, 0);
  const parts = partFolders(folders, insides);
  if (!parts) {
    const classes = classesOf(folder, tree, '');
    if (classes.length === 0) {
      throw new UserError(
        `${folder}: expected a subfolder of images for each class, found none with images (${imageExtensions.join(', ')})${explained(tree)}`,
      );
    }
    const [only] = classes;
    const inner = namesAt(insides, 1);
    if (classes.length === 1 && only && inner.length > 1) {
      throw new UserError(
        `${folder}: expected a subfolder of images for each class, found only ${only.name}; if its ${inner.length} folders are the classes, give ${join(folder, only.name)}`,
      );
    }
    tellNested(classes, folder, 1, onWarning);
    return { validation: [], ...(await splitClasses(classes, folder, split)) };
  }

  for (const name of folders.filter((folder) => !parts.has(folder)))
    for (const { inside, names } of tree.images)
      if (isIn(inside, name))
        for (const file of names)
          tree.leftOut.addFile(`beside ${[...parts.keys()].join(' and ')}`, join(inside, file));
  for (const { inside, names } of tree.images)
    if (inside === '') for (const file of names) tree.leftOut.addFile('loose', file);
  const found: FolderParts = { train: [], validation: [], test: [] };
  for (const [name, part] of parts) found[part] = classesOf(folder, tree, name);
  const names = [...parts.keys()].map((name) => `${name}${sep}`).join(' and ');
  tellNested(allOf(found), folder, 2, onWarning);
  return await dividedAs(found, { source: folder, names, split, onWarning });
}

/**
 * Classes as the parts that they lie in divide them, or where another split is asked for, taken together and divided by that.
 *
 * @param options.names of the parts, for messages
 * @throws UserError where a class is in two parts
 */
export async function dividedAs(
  found: FolderParts,
  options: {
    source: string;
    names: string;
    split: ClassSplit;
    onWarning?: ((message: string) => void) | undefined;
  },
): Promise<FolderParts> {
  const { source, names, split, onWarning } = options;
  if (split.kind !== 'halves') {
    const merged = new Map<string, ImageClass>();
    for (const { name, paths: images } of allOf(found)) {
      const known = merged.get(name);
      merged.set(name, { name, paths: [...(known?.paths ?? []), ...images] });
    }
    const classes = [...merged.values()].sort((a, b) => byCodePoint(a.name, b.name));
    const divided = split.kind === 'all' ? '' : ' and divided anew';
    onWarning?.(`${source}: the classes of ${names} are taken together${divided}`);
    return { validation: [], ...(await splitClasses(classes, source, split)) };
  }
  // Without a test folder, val is the test set: nothing else could be measured on.
  const divided: FolderParts =
    found.test.length > 0 ? found : { ...found, validation: [], test: found.validation };
  refuseShared(source, divided);
  onWarning?.(
    `${source}: ${names} divide it: ${counted(divided.train.length, 'class', 'classes')} to train on, ` +
      `${divided.validation.length > 0 ? `${divided.validation.length} to choose the best epoch on, ` : ''}${divided.test.length} to test on`,
  );
  return divided;
}

/** @throws UserError where nothing can be compared in a part. @param everyClass trains, and there is no test */
export function refuseUntestable(parts: FolderParts, source: string, everyClass: boolean): void {
  for (const [name, part] of Object.entries({
    training: parts.train,
    validation: parts.validation,
    test: parts.test,
  })) {
    const all = parts.train.length + parts.validation.length + parts.test.length;
    if (part.length === 0 && (name === 'validation' || (name === 'test' && everyClass))) continue;
    if (part.length < 2) {
      throw new UserError(
        `${source}: expected at least 2 classes for ${name}, the split leaves ${part.length} of ${all}; add classes or choose another split`,
      );
    }
    if (part.every(({ paths }) => paths.length < 2)) {
      throw new UserError(
        `${source}: expected a class with at least 2 images for ${name}, each of the ${part.length} has only one; nothing can be compared`,
      );
    }
  }
}

const allOf = ({ train, validation, test }: FolderParts): ImageClass[] => [...train, ...validation, ...test];

/** The part of a data set that a folder of this name stands for; null: none. */
export const partOf = (name: string): keyof FolderParts | null =>
  Object.hasOwn(partNames, name.toLowerCase()) ? partNames[name.toLowerCase()]! : null;

/** The folders that stand for parts, or null where the subfolders are classes. @param insides the folders that hold images */
function partFolders(
  folders: readonly string[],
  insides: readonly string[],
): Map<string, keyof FolderParts> | null {
  const parts = new Map<string, keyof FolderParts>();
  for (const name of folders) {
    const part = partOf(name);
    if (part && insides.some((inside) => inside.startsWith(name + sep))) parts.set(name, part);
  }
  const kinds = new Set(parts.values());
  return kinds.size === parts.size && kinds.has('train') && kinds.size > 1 ? parts : null;
}

/**
 * The class that an image's folder stands for, as a data set of such a folder would say.
 *
 * @param paths of the images, relative to the folder
 * @returns by path; null where they are in no class folders: one lies beside them, or there is one folder only
 */
export function classFolderOf(paths: readonly string[]): (path: string) => string | null {
  const insides = [...new Set(paths.map((path) => path.slice(0, Math.max(0, path.lastIndexOf(sep)))))];
  const folders = namesAt(insides, 0);
  const depth = partFolders(folders, insides) ? 1 : 0;
  const beside = insides.some((inside) => inside === '' || inside.split(sep).length < depth + 1);
  if (folders.length < 2 || beside) return () => null;
  return (path) => path.split(sep)[depth] ?? null;
}

/** The names that the paths of folders have at a depth, the outermost at 0, each once. */
function namesAt(insides: readonly string[], depth: number): string[] {
  return [...new Set(insides.flatMap((inside) => inside.split(sep)[depth] || []))];
}

const isIn = (inside: string, folder: string) => inside === folder || inside.startsWith(folder + sep);

/** The classes of the folders in `inside`; images that lie in no class's folder, and classes without, are left out. */
function classesOf(
  folder: string,
  { images, folders, leftOut }: ImageTree<ImagesOfFolder>,
  inside: string,
): ImageClass[] {
  const start = inside === '' ? '' : inside + sep;
  const classes = new Map<string, ImageClass>();
  for (const { inside: folderOfImages, names } of images) {
    if (folderOfImages === inside) {
      for (const file of names) leftOut.addFile('loose', join(inside, file));
      continue;
    }
    if (!folderOfImages.startsWith(start)) continue;
    const [name = ''] = folderOfImages.slice(start.length).split(sep);
    const known = classes.get(name) ?? { name, paths: [] };
    classes.set(name, known);
    const before = join(folder, folderOfImages, sep);
    for (const file of names) known.paths.push(before + file);
  }
  for (const path of folders) {
    const name = path.slice(start.length);
    if (path.startsWith(start) && name !== '' && !name.includes(sep) && !classes.has(name))
      leftOut.addFolder('without images', path);
  }
  return [...classes.values()];
}

/** Says where images count to a class from deeper folders. @param depth of the class folders below the folder */
function tellNested(
  classes: readonly ImageClass[],
  folder: string,
  depth: number,
  onWarning?: (message: string) => void,
): void {
  const isDeeper = (path: string) => {
    let at = folder.length;
    for (let deep = 0; deep <= depth && at >= 0; deep++) at = path.indexOf(sep, at + 1);
    return at >= 0;
  };
  const nested = classes.flatMap(({ paths }) => paths.filter(isDeeper));
  const [first] = nested;
  if (first === undefined) return;
  const of = classes.filter(({ paths }) => paths.some(isDeeper)).length;
  onWarning?.(
    `${folder}: ${counted(nested.length, 'image lies', 'images lie')} in deeper folders, the first is ${first}; of ${counted(of, 'class', 'classes')}, as the folders above them say`,
  );
}

function refuseShared(folder: string, parts: FolderParts): void {
  const seen = new Map<string, string>();
  for (const part of ['train', 'validation', 'test'] as const) {
    const classes = parts[part];
    const shared = classes.filter(({ name }) => seen.has(name));
    const [first] = shared;
    if (first) {
      throw new UserError(
        `${folder}: ${counted(shared.length, 'class is', 'classes are')} in the folders for ${seen.get(first.name)} and for ${part}, the first is ${first.name}; retrieval is tested on classes that were not trained on: divide them all anew, at random or by a list of the training classes`,
      );
    }
    for (const { name } of classes) seen.set(name, part);
  }
}

const explained = ({ leftOut }: ImageTree<ImagesOfFolder>) =>
  leftOut.files + leftOut.folders > 0 ? `; ${leftOut}` : '';
