import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import { type ClassSplit, classSplitOf, classSplitOptions, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import { type CsvRow, parseCsv } from './csv-rows.js';
import type { Dataset, DatasetContext } from './dataset.js';
import {
  allowPartialOption,
  Distribution,
  type DistributionOptions,
  isInside,
  type ListedImage,
  sortedIds,
} from './distribution.js';
import { readTextFile } from './text-file.js';

const parts = ['train', 'test', 'query', 'gallery'] as const;
type PartName = (typeof parts)[number];

export interface CsvOptions extends Omit<DistributionOptions, 'folder'> {
  /** The file, or a folder with one `.csv` in it. */
  file: string;
  /** How the classes are divided where the file has no split column; default `halves`. */
  split?: ClassSplit | undefined;
}

/**
 * Images of one's own, listed in a CSV file: `path,label,split[,query|gallery]`, `split` being train or test. Paths are
 * relative to the file's folder; a first line `path,label,split` is a header; cells may be quoted as RFC 4180 has it.
 * With a fourth column, test images are either queries or in the gallery in which queries are looked for. Without a third
 * one, `split` divides the classes.
 *
 * @throws UserError if it cannot work, or an image is missing and `allowPartial` is not set
 */
export async function openCsv(options: CsvOptions): Promise<Dataset> {
  const file = await findFile(resolve(options.file));
  const folder = dirname(file);
  const data = new Distribution('csv', folder, `its paths are relative to ${folder}`, options);
  const images = await readImages(file, options.split ?? { kind: 'halves' });
  const present = async (part: PartName) => await data.present(images[part], basename(file));
  const [train, gallery] = [await present('train'), await present('gallery')];
  const test = [...(await present('test')), ...(await present('query'))];
  if (images.test.length > 0 && images.query.length + images.gallery.length > 0) {
    throw new UserError(`${file}: expected query or gallery in each test line or in none, found both`);
  }
  const inTrain = new Set(train.map(({ id }) => id));
  const shared = [...test, ...gallery].find(({ id }) => inTrain.has(id));
  if (shared !== undefined) {
    throw new UserError(
      `${file}: the class ${JSON.stringify(shared.id)} is in train and in test; retrieval is tested on classes that were not trained on`,
    );
  }
  const searched = sortedIds([...test, ...gallery]);
  const dataset: Dataset = {
    name: basename(file, '.csv'),
    train: data.split('train', train),
    test: data.split(images.query.length > 0 ? 'query' : 'test', test, searched),
    ...(images.gallery.length > 0 && { gallery: data.split('gallery', gallery, searched) }),
    recallAt: usualRecallAt,
  };
  return await data.checked(dataset, {
    source: file,
    published: false,
    tested: options.split?.kind !== 'all',
  });
}

async function findFile(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null)
    throw new UserError(`csv: expected a CSV file or a folder with one, ${path} is not there`);
  if (!found.isDirectory()) return path;
  const files = (await readdir(path)).filter((name) => name.toLowerCase().endsWith('.csv')).sort(byCodePoint);
  if (files.length === 1) return join(path, files[0] as string);
  const listed = files.length === 0 ? 'none' : files.slice(0, 5).join(', ');
  throw new UserError(`csv: expected one .csv file in ${path}, found ${listed}; give the file itself`);
}

async function readImages(file: string, split: ClassSplit): Promise<Record<PartName, ListedImage<string>[]>> {
  const rows = parseCsv(await readTextFile(file, 'a CSV file'), file);
  const [first] = rows;
  const header = first?.cells.map((cell) => cell.toLowerCase()) ?? [];
  if (header[0] === 'path' && header[1] === 'label' && ['split', '', undefined].includes(header[2]))
    rows.shift();
  return rows.some(({ cells: [, , part = ''] }) => part !== '')
    ? readDivided(rows, file, split)
    : await divide(rows, file, split);
}

/** Rows that say themselves what trains. */
function readDivided(
  rows: readonly CsvRow[],
  file: string,
  split: ClassSplit,
): Record<PartName, ListedImage<string>[]> {
  if (split.kind !== 'halves' && split.kind !== 'all') {
    throw new UserError(
      `${file}: it has a split column, train and test, which another way to divide the classes contradicts; leave one of them out`,
    );
  }
  const images: Record<PartName, ListedImage<string>[]> = { train: [], test: [], query: [], gallery: [] };
  for (const row of rows) {
    const [path = '', id = '', splitCell = '', roleCell = '', ...rest] = row.cells;
    const [half, role] = [splitCell.toLowerCase(), roleCell.toLowerCase()];
    const part = half === 'test' && role !== '' ? role : half;
    const known = parts.find((name) => name === part);
    const fits = half === 'train' ? role === '' : half === 'test' && ['', 'query', 'gallery'].includes(role);
    if (path === '' || id === '' || known === undefined || !fits || rest.length > 0)
      throw unexpected(row, file, 'path,label,train or path,label,test[,query|gallery]');
    images[known].push({ path: imagePath(path, row, file), id });
  }
  return images;
}

/** Rows of `path,label`: whole classes train or test. */
async function divide(
  rows: readonly CsvRow[],
  file: string,
  split: ClassSplit,
): Promise<Record<PartName, ListedImage<string>[]>> {
  const classes = new Map<string, string[]>();
  for (const row of rows) {
    const [path = '', id = '', ...rest] = row.cells;
    if (path === '' || id === '' || rest.some((cell) => cell !== ''))
      throw unexpected(row, file, 'path,label[,train|test[,query|gallery]]');
    const known = classes.get(id);
    if (known) known.push(imagePath(path, row, file));
    else classes.set(id, [imagePath(path, row, file)]);
  }
  const sorted = [...classes.keys()]
    .sort(byCodePoint)
    .map((name) => ({ name, paths: classes.get(name) ?? [] }));
  const { train, test } = await splitClasses(sorted, file, split);
  const listed = (some: typeof train) =>
    some.flatMap(({ name, paths }) => paths.map((path) => ({ path, id: name })));
  return { train: listed(train), test: listed(test), query: [], gallery: [] };
}

function unexpected({ cells, line }: CsvRow, file: string, expected: string): UserError {
  const text = cells.join(',');
  const other =
    cells.length === 1 ? [';', '\t', '|'].find((separator) => text.includes(separator)) : undefined;
  const names: Record<string, string> = { ';': 'semicolons', '\t': 'tabs', '|': 'bars' };
  const found = other ? `; its cells seem to be apart by ${names[other]}: save it with commas` : '';
  return new UserError(`${file}, line ${line}: expected ${expected}, got ${JSON.stringify(text)}${found}`);
}

function imagePath(path: string, { line }: CsvRow, file: string): string {
  if (isInside(path)) return join(dirname(file), path);
  throw new UserError(
    `${file}, line ${line}: expected a path inside ${dirname(file)}, ${JSON.stringify(path)} leads outside`,
  );
}

export const csv = part({
  name: 'csv',
  help: "images of one's own that a CSV file lists: path,label,split",
  options: z.strictObject({
    file: z.string().min(1).describe('the CSV file, or a folder with one in it'),
    ...classSplitOptions,
    ...allowPartialOption,
  }),
  build: ({ file, allowPartial, ...split }, context: DatasetContext) =>
    openCsv({ file, allowPartial, split: classSplitOf(split, context), onWarning: context.onWarning }),
});
