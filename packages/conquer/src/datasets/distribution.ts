import type { Dirent } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { UserError } from '../error.js';
import { type Dataset, labelsOf, type Split } from './dataset.js';

/** How the readers of published data sets are called. */
export interface DistributionOptions {
  /** The folder that holds the data set's own folder (`--dataset-dir`). */
  folder: string;
  /**
   * Take what is there of the data set, with a warning, instead of refusing what is not whole. Default false.
   */
  allowPartial?: boolean | undefined;
  /** Told of what deviates from the published data set, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** An image as a list names it. */
export interface ListedImage<Id> {
  path: string;
  /** The class, by the data set's own numbers or names. */
  id: Id;
}

/** A published number to check. */
export type SizeCheck = [what: string, found: number, expected: number];

const number = (n: number) => n.toLocaleString('en-US');

export const byCodePoint = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** A published data set on the disk, in the layout it is distributed in: finds files and says what is missing. */
export class Distribution {
  readonly name: string;
  /** The data set's own folder. */
  readonly folder: string;
  readonly allowPartial: boolean;
  readonly #page: string;
  readonly #onWarning: ((message: string) => void) | undefined;
  /** The entries of folders, and whether they are links. */
  readonly #listings = new Map<string, Map<string, boolean>>();
  readonly #imageFolders: readonly string[];
  /** Where the data set really lies; null: not looked up yet. */
  #roots: string[] | null = null;

  /**
   * @param name as the command line knows it
   * @param subfolder where it lies under `--dataset-dir`
   * @param page where to get the data
   * @param imageFolders its folders of images: each may be a link to anywhere, as the data set's own folder may
   */
  constructor(
    name: string,
    subfolder: string,
    page: string,
    options: DistributionOptions,
    imageFolders: readonly string[] = [],
  ) {
    this.name = name;
    this.folder = join(options.folder, subfolder);
    this.allowPartial = options.allowPartial ?? false;
    this.#page = page;
    this.#imageFolders = imageFolders;
    this.#onWarning = options.onWarning;
  }

  error(what: string): UserError {
    return new UserError(`${this.name}: ${what}; the data are at ${this.#page}`);
  }

  warn(what: string): void {
    this.#onWarning?.(`${this.name}: ${what}`);
  }

  /** Refuses, or with `--allow-partial` warns. */
  deviation(what: string): void {
    if (!this.allowPartial) throw this.error(`${what} (--allow-partial takes what is there)`);
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
      throw this.error(`expected the file ${path}, but ${await this.#absence(path, error)}`);
    });
  }

  /** The lines of a text file with their numbers, from 1; blank ones are left out. */
  async lines(file: string): Promise<{ text: string; line: number }[]> {
    const text = (await this.read(file)).toString('utf8').replace(/^\uFEFF/, '');
    return text
      .split('\n')
      .map((content, index) => ({ text: content.trim(), line: index + 1 }))
      .filter((line) => line.text !== '');
  }

  async list(subfolder: string): Promise<Dirent[]> {
    const path = join(this.folder, subfolder);
    return await readdir(path, { withFileTypes: true }).catch(async (error: NodeJS.ErrnoException) => {
      throw this.error(`expected the folder ${path}, but ${await this.#absence(path, error)}`);
    });
  }

  /** Whether the data set has this folder. */
  async hasFolder(subfolder: string): Promise<boolean> {
    return await readdir(join(this.folder, subfolder)).then(
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
      if (await this.#isThere(image.path)) there.push(image);
      else first ??= image.path;
    }
    if (first !== null) {
      const missing = images.length - there.length;
      this.deviation(
        `${number(missing)} of the ${number(images.length)} images that ${file} lists are missing, the first is ${first}`,
      );
    }
    return there;
  }

  /** Images in the order given; classes in the order of `classes`, by default those that occur, sorted. */
  split<Id extends number | string>(
    name: string,
    images: readonly ListedImage<Id>[],
    classes: readonly Id[] = sortedIds(images),
    nameOf: (id: Id) => string = String,
  ): Split {
    const ids = images.map(({ id }) => id);
    return {
      name,
      paths: images.map(({ path }) => path),
      labels: labelsOf(ids, classes),
      classNames: classes.map(nameOf),
    };
  }

  /** The data set, if something can be learnt and measured on it: a subset may be too small. */
  checked(dataset: Dataset): Dataset {
    const { train, test, gallery, testSets = [] } = dataset;
    for (const split of [train, test, ...testSets]) {
      const counts = new Map<number, number>();
      for (const label of split.labels) counts.set(label, (counts.get(label) ?? 0) + 1);
      if (split === test && gallery) {
        const found = new Set(gallery.labels);
        if (counts.size === 0 || ![...counts.keys()].some((label) => found.has(label)))
          throw this.error(`expected queries whose class is in the gallery, found none in ${this.folder}`);
      } else if (counts.size < 2 || [...counts.values()].every((count) => count < 2)) {
        throw this.error(
          `expected at least 2 classes and a class with 2 images for ${split.name}, found ${number(split.paths.length)} images of ${number(counts.size)} classes in ${this.folder}`,
        );
      }
    }
    return dataset;
  }

  /** Also refuses links that lead outside of where the data set really lies. */
  async #isThere(path: string): Promise<boolean> {
    const folder = dirname(path);
    let listing = this.#listings.get(folder);
    if (!listing) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      if (entries.length > 0) await this.#checkLink(folder);
      listing = new Map(entries.map((entry) => [entry.name, entry.isSymbolicLink()]));
      this.#listings.set(folder, listing);
    }
    const isLink = listing.get(path.slice(folder.length + 1));
    if (isLink) await this.#checkLink(path);
    return isLink !== undefined;
  }

  async #checkLink(path: string): Promise<void> {
    const real = (of: string) => realpath(of).catch(() => null); // of a broken link nothing is read
    const target = await real(path);
    if (target === null) return;
    if (this.#roots === null) {
      const folders = ['.', ...this.#imageFolders].map((folder) => real(join(this.folder, folder)));
      this.#roots = (await Promise.all(folders)).filter((root) => root !== null);
    }
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

/** Whether a listed path stays inside the folder it is relative to. */
export function isInside(listed: string): boolean {
  const parts = listed.split(/[/\\]/);
  return (
    listed !== '' &&
    parts[0] !== '' &&
    !/^[a-z]:/i.test(listed) &&
    !parts.includes('..') &&
    !listed.includes('\0')
  );
}

/** The classes that occur, sorted: numbers by size, names by code point. */
export function sortedIds<Id extends number | string>(images: readonly { id: Id }[]): Id[] {
  return [...new Set(images.map(({ id }) => id))].sort((a, b) => (a < b ? -1 : 1));
}

/** A whole number as lists write it, or NaN. */
export function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}
