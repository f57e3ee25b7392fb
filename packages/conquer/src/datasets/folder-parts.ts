import { join, sep } from 'node:path';
import { counted, UserError } from '@conquer-dml/run';
import { type ClassSplit, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import type { ImageClass } from './dataset.js';
import { type ImageTree, imageExtensions, type NamedFile } from './image-tree.js';

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
  tree: ImageTree<NamedFile>,
  split: ClassSplit,
  onWarning?: (message: string) => void,
): Promise<FolderParts> {
  const paths = tree.images.map(({ path }) => path.split(sep));
  const folders = [...new Set(paths.flatMap(([top, ...rest]) => (rest.length > 0 ? [top as string] : [])))];
  const parts = partFolders(folders, paths);
  if (!parts) {
    const classes = classesOf(folder, tree, '');
    if (classes.length === 0) {
      throw new UserError(
        `${folder}: expected a subfolder of images for each class, found none with images (${imageExtensions.join(', ')})${explained(tree)}`,
      );
    }
    const [only] = classes;
    const inner = new Set(paths.flatMap(([, name, ...rest]) => (rest.length > 0 ? [name] : [])));
    if (classes.length === 1 && only && inner.size > 1) {
      throw new UserError(
        `${folder}: expected a subfolder of images for each class, found only ${only.name}; if its ${inner.size} folders are the classes, give ${join(folder, only.name)}`,
      );
    }
    tellNested(classes, folder, 1, onWarning);
    return { validation: [], ...(await splitClasses(classes, folder, split)) };
  }

  for (const name of folders.filter((folder) => !parts.has(folder)))
    for (const { path } of tree.images)
      if (path.startsWith(name + sep))
        tree.leftOut.addFile(`beside ${[...parts.keys()].join(' and ')}`, path);
  for (const { path } of tree.images) if (!path.includes(sep)) tree.leftOut.addFile('loose', path);
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

/** The folders that stand for parts, or null where the subfolders are classes. */
function partFolders(
  folders: readonly string[],
  paths: readonly (readonly string[])[],
): Map<string, keyof FolderParts> | null {
  const parts = new Map<string, keyof FolderParts>();
  for (const name of folders) {
    const part = partOf(name);
    if (part && paths.some(([top, ...rest]) => top === name && rest.length > 1)) parts.set(name, part);
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
  const split = paths.map((path) => path.split(sep));
  const folders = [...new Set(split.map(([top]) => top!))];
  const parts = partFolders(folders, split);
  const depth = parts ? 1 : 0;
  if (folders.length < 2 || split.some((names) => names.length < depth + 2)) return () => null;
  return (path) => path.split(sep)[depth] ?? null;
}

/** The classes of the folders in `inside`; images that lie in no class's folder, and classes without, are left out. */
function classesOf(
  folder: string,
  { images, folders, leftOut }: ImageTree<NamedFile>,
  inside: string,
): ImageClass[] {
  const start = inside === '' ? '' : inside + sep;
  const classes = new Map<string, ImageClass>();
  for (const { path } of images) {
    if (!path.startsWith(start)) continue;
    const [name = '', ...rest] = path.slice(start.length).split(sep);
    if (rest.length === 0) {
      leftOut.addFile('loose', path);
      continue;
    }
    const known = classes.get(name);
    if (known) known.paths.push(join(folder, path));
    else classes.set(name, { name, paths: [join(folder, path)] });
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

const explained = ({ leftOut }: ImageTree<NamedFile>) =>
  leftOut.files + leftOut.folders > 0 ? `; ${leftOut}` : '';
