import { realpathSync } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { setImmediate as eventLoop } from 'node:timers/promises';
import { counted, fileOfImage, UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { type ArchiveNames, archiveFolder } from './archive-folder.js';
import { withCheckedFiles } from './checked-files.js';
import { byCodePoint } from './code-point-order.js';
import { categoriesOf, type Dataset, labelsOf, type Split } from './dataset.js';
import { type FolderEntry, folderEntries, linksAmong } from './folder-entries.js';
import { withoutMatch } from './matches.js';
import { isInside } from './path-inside.js';
import { decodeLines } from './text-file.js';

/** How the readers of published data sets are called. */
export interface DistributionOptions {
  /** The folder that holds the data set's own folder, or that folder itself. */
  folder: string;
  /**
   * Take what is there of the data set, with a warning, instead of refusing what is not whole. Default false.
   */
  allowPartial?: boolean | undefined;
  /** Images that are left out afterwards, see `DatasetContext`. */
  excluded?: readonly string[] | undefined;
  /** Told of what deviates from the published data set, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

export const allowPartialOption = {
  allowPartial: z
    .boolean()
    .default(false)
    .describe('take what is there of a data set that is not whole, with a warning'),
};

/** The options of a published data set. */
export const publishedOptions = z.strictObject({
  folder: z.string().min(1).describe("the data set's own folder, or the one it lies in"),
  ...allowPartialOption,
});

/** An image as a list names it. */
export interface ListedImage<Id> {
  path: string;
  /** The class, by the data set's own numbers or names. */
  id: Id;
  /** All classes, where there are several; `id` is the first. */
  ids?: readonly Id[];
  /** Of the class, where the list says it. */
  category?: string | undefined;
}

/** A published number to check. */
export type SizeCheck = [what: string, found: number, expected: number];

/** Folders listed before signals and others have a turn. */
const LISTED_AT_ONCE = 64;

const number = (n: number) => n.toLocaleString('en-US');

/** A published data set on the disk, in the layout it is distributed in: finds files and says what is missing. */
export class Distribution {
  readonly name: string;
  /** The data set's own folder. */
  readonly folder: string;
  readonly allowPartial: boolean;
  readonly #hint: string;
  readonly #options: Omit<DistributionOptions, 'folder'>;
  /** The entries of folders, and whether they are links. */
  readonly #listings = new Map<string, Map<string, boolean>>();
  readonly #imageFolders: readonly string[];
  /** Where else it was looked for, in words. */
  #elsewhere = '';
  /** Where the data set really lies; null: not looked up yet. */
  #roots: string[] | null = null;

  /**
   * @param name as the command line knows it
   * @param folder the data set's own
   * @param hint what every error ends in: where to get the data
   * @param imageFolders its folders of images: each may be a link to anywhere, as the data set's own folder may
   */
  constructor(
    name: string,
    folder: string,
    hint: string,
    options: Omit<DistributionOptions, 'folder'>,
    imageFolders: readonly string[] = [],
  ) {
    this.name = name;
    this.folder = folder;
    this.allowPartial = options.allowPartial === true;
    this.#hint = hint;
    this.#imageFolders = imageFolders;
    this.#options = options;
  }

  /**
   * One in a folder of its own, found by its names.
   *
   * @param page where to get the data
   */
  static async open(
    name: string,
    names: ArchiveNames,
    page: string,
    options: DistributionOptions,
    imageFolders: readonly string[] = [],
  ): Promise<Distribution> {
    const found = await archiveFolder(options.folder, names);
    const folder = found ?? join(options.folder, names.documented);
    const data = new Distribution(name, folder, `the data are at ${page}`, options, imageFolders);
    if (found === null)
      data.#elsewhere = ` (or in a folder named ${names.others.join(', ')}, or in ${options.folder} itself)`;
    return data;
  }

  error(what: string): UserError {
    return new UserError(`${this.name}: ${what}; ${this.#hint}`);
  }

  warn(what: string): void {
    this.#options.onWarning?.(`${this.name}: ${what}`);
  }

  /** Refuses, or with `allowPartial` warns. */
  deviation(what: string): void {
    if (!this.allowPartial) {
      const { message } = this.error(`${what} (this option takes what is there)`);
      throw new OptionError('allowPartial', message);
    }
    this.warn(what);
  }

  /** Says all differences from the published sizes in one line. */
  checkSizes(checks: readonly SizeCheck[]): void {
    const different = checks.filter(([, found, expected]) => found !== expected);
    if (different.length === 0) return;
    const each = different.map(
      ([what, found, expected]) => `${number(expected)} ${what}, found ${number(found)}`,
    );
    this.deviation(`expected ${each.join('; ')} in ${this.folder}`);
  }

  /** The bytes of one of the data set's files. */
  async read(file: string): Promise<Buffer> {
    const path = join(this.folder, file);
    return await readFile(path).catch(async (error: NodeJS.ErrnoException) => {
      throw this.error(
        `expected the file ${path}${this.#elsewhere}, but ${await this.#absence(path, error)}`,
      );
    });
  }

  /** The lines of a text file with their numbers, from 1; blank ones are left out. */
  async lines(file: string): Promise<{ text: string; line: number }[]> {
    return decodeLines(await this.read(file), join(this.folder, file))
      .split('\n')
      .map((content, index) => ({ text: content.trim(), line: index + 1 }))
      .filter((line) => line.text !== '');
  }

  /** What one of its folders holds, by name; names that begin with a dot are left out. */
  async list(subfolder: string): Promise<FolderEntry[]> {
    const path = join(this.folder, subfolder);
    const { entries, notUtf8 } = await folderEntries(path).catch(async (error: NodeJS.ErrnoException) => {
      throw this.error(
        `expected the folder ${path}${this.#elsewhere}, but ${await this.#absence(path, error)}`,
      );
    });
    const [first] = notUtf8;
    if (first)
      this.warn(`${notUtf8.length} names in ${path} are not UTF-8, the first is ${first.name}: left out`);
    return entries.filter(({ name }) => !name.startsWith('.'));
  }

  /** Whether the data set has this file or folder. */
  async has(path: string): Promise<boolean> {
    return await access(join(this.folder, path)).then(
      () => true,
      () => false,
    );
  }

  /** The path of a listed image. @throws UserError if it would lie outside of the data set's folder */
  resolve(listed: string, where: string): string {
    if (!isInside(listed)) {
      throw this.error(
        `${where} names ${JSON.stringify(listed)}: expected a path inside ${this.folder}, this one leads outside`,
      );
    }
    return join(this.folder, listed);
  }

  /** The images that are on the disk; that some are missing is a deviation. `file` is the list they are from. */
  async present<Id>(images: readonly ListedImage<Id>[], file: string): Promise<ListedImage<Id>[]> {
    const there: ListedImage<Id>[] = [];
    let first: string | null = null;
    for (const image of images) {
      const found = this.#isThere(image.path);
      if (found === true || (await found)) there.push(image);
      else first ??= image.path;
    }
    if (first !== null) {
      const missing = images.length - there.length;
      this.deviation(
        `${number(missing)} of the ${number(images.length)} images that ${file} lists ${missing === 1 ? 'is' : 'are'} missing, the first is ${first}` +
          (first.includes('\\') ? '; it has backslashes: write paths with slashes (/)' : ''),
      );
    }
    return there;
  }

  /**
   * Images in the order given; classes in the order of `classes`, by default those that occur, sorted.
   *
   * @param described says of which category each class is, where classes are of other images too
   */
  split<Id extends number | string>(
    name: string,
    images: readonly ListedImage<Id>[],
    classes: readonly Id[] = sortedIds(images),
    nameOf: (id: Id) => string = String,
    described: readonly ListedImage<Id>[] = images,
  ): Split {
    const ids = images.map(({ id }) => id);
    const several = images.some(({ ids = [] }) => ids.length > 1);
    return {
      name,
      paths: images.map(({ path }) => path),
      labels: labelsOf(ids, classes),
      ...(several && { labelSets: images.map((image) => labelsOf(allIds(image), classes)) }),
      classNames: classes.map(nameOf),
      ...categoriesOf(this.#categories(described, classes)),
    };
  }

  /** What kind each class is of; of one that is listed in two categories the first, with a warning. */
  #categories<Id extends number | string>(
    images: readonly ListedImage<Id>[],
    classes: readonly Id[],
  ): (string | undefined)[] {
    const found = new Map<Id, string>();
    let twice: ListedImage<Id> | null = null;
    for (const image of images) {
      if (image.category === undefined) continue;
      const known = found.get(image.id);
      if (known === undefined) found.set(image.id, image.category);
      else if (known !== image.category) twice ??= image;
    }
    if (twice !== null) {
      this.warn(
        `class ${twice.id} is listed in the categories ${found.get(twice.id)} and ${twice.category}: the first counts`,
      );
    }
    return classes.map((id) => found.get(id));
  }

  /**
   * The data set, if something can be learnt and measured on it: a subset may be too small. Files that it lists more than
   * once are as `withoutRepeatedFiles` has them; queries that can find nothing are counted in a warning.
   *
   * @param tested whether there has to be a test set
   * @param trained whether there has to be something to train on
   */
  async checked(
    dataset: Dataset,
    {
      source = this.name,
      published = true,
      tested = true,
      trained = true,
    }: { source?: string; published?: boolean; tested?: boolean; trained?: boolean } = {},
  ): Promise<Dataset> {
    const { train, test, gallery, testSets = [] } = dataset;
    const { onWarning, excluded } = this.#options;
    this.#listings.clear(); // a million names, which what follows has no use for
    for (const split of [train, test, ...testSets]) {
      if (split === test && !tested && test.labels.length === 0) continue;
      if (split === train && !trained) continue;
      const counts = new Map<number, number>();
      for (const label of split.labelSets?.flatMap((set) => [...set]) ?? split.labels)
        counts.set(label, (counts.get(label) ?? 0) + 1);
      if (split === test && gallery) {
        if (withoutMatch(test, gallery) === test.labels.length)
          throw this.error(`expected queries whose class is in the gallery, found none in ${this.folder}`);
      } else if (counts.size < 2 || [...counts.values()].every((count) => count < 2)) {
        throw this.error(
          `expected at least 2 classes and a class with 2 images for ${split.name}, found ${counted(split.paths.length, 'image')} of ${counted(counts.size, 'class', 'classes')} in ${this.folder}`,
        );
      }
    }
    const options = { source, published, excluded, onWarning };
    return await withCheckedFiles({ ...dataset, folder: this.folder }, options);
  }

  /** Also refuses links that lead outside of where the data set really lies. A promise only where something has to be looked up. */
  #isThere(path: string): boolean | Promise<boolean> {
    const file = path.includes('#') ? fileOfImage(path) : path;
    const folder = dirname(file);
    const isLink = this.#listings.get(folder)?.get(file.slice(folder.length + 1));
    if (isLink === false) return true;
    if (isLink) {
      this.#checkLink(file);
      return true;
    }
    return this.#listings.has(folder) ? false : this.#list(folder).then(() => this.#isThere(path));
  }

  async #list(folder: string): Promise<void> {
    const links = await linksAmong(folder).catch(() => new Map<string, boolean>());
    if (links.size > 0) this.#checkLink(folder);
    this.#listings.set(folder, links);
    if (this.#listings.size % LISTED_AT_ONCE === 0) await eventLoop();
  }

  #checkLink(path: string): void {
    const target = realPath(path);
    if (target === null) return; // of a broken link nothing is read
    this.#roots ??= ['.', ...this.#imageFolders]
      .map((folder) => realPath(join(this.folder, folder)))
      .filter((root) => root !== null);
    if (this.#roots.some((root) => target === root || target.startsWith(join(root, sep)))) return;
    throw this.error(
      `${path} is a link to ${target}, outside of ${this.folder}: copy it there, or link the whole folder`,
    );
  }

  /** What is wrong with a path, and what there is in its place. */
  async #absence(path: string, error: NodeJS.ErrnoException): Promise<string> {
    if (error.code !== 'ENOENT') return `it cannot be read (${error.code})`;
    let parent = dirname(path);
    for (;;) {
      const entries = await readdir(parent).catch(() => null);
      if (entries !== null) {
        const shown = entries.sort(byCodePoint).slice(0, 5).join(', ');
        const more = entries.length > 5 ? `, … (${number(entries.length)})` : '';
        return `${parent} has ${shown === '' ? 'nothing in it' : `only ${shown}${more}`}`;
      }
      if (dirname(parent) === parent) return 'there is no such path';
      parent = dirname(parent);
    }
  }
}

/** Without links; null where there is nothing. */
function realPath(path: string): string | null {
  try {
    return realpathSync.native(path);
  } catch {
    return null;
  }
}

/** All classes of an image. */
const allIds = <Id>({ id, ids = [id] }: ListedImage<Id>): readonly Id[] => ids;

/** Each class that occurs, in the order in which they first do. A list of each image's would be a million lists. */
export function classesOf<Id>(images: readonly ListedImage<Id>[]): Set<Id> {
  const found = new Set<Id>();
  for (const { id, ids } of images)
    if (ids) for (const one of ids) found.add(one);
    else found.add(id);
  return found;
}

/** The classes that occur, sorted: numbers by size, names by code point. */
export function sortedIds<Id extends number | string>(images: readonly ListedImage<Id>[]): Id[] {
  return [...classesOf(images)].sort((a, b) =>
    typeof a === 'number' && typeof b === 'number' ? a - b : byCodePoint(String(a), String(b)),
  );
}

/** A whole number as lists write it, or NaN. */
export function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
