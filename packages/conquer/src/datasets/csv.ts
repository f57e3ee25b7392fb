import { basename, dirname } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import { refuseBoxesOutside } from './boxes.js';
import { type ClassSplit, classSplitOf, classSplitOptions, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import { type CsvImage, csvImages } from './csv-columns.js';
import { csvFile } from './csv-file.js';
import { csvRows, partedOtherwise } from './csv-rows.js';
import { type Dataset, type DatasetContext, withLabelSets } from './dataset.js';
import {
  allowPartialOption,
  classesOf,
  Distribution,
  type DistributionOptions,
  type ListedImage,
  sortedIds,
} from './distribution.js';
import { pathInside } from './path-inside.js';
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
 * Images of one's own, listed in a CSV file: `path,label,split[,query|gallery|both]`, `split` being train or test. Paths are
 * relative to the file's folder; a first line of names says which column is which, see `csvImages`; cells may be quoted as RFC
 * 4180 has it. With a fourth column, test images are queries, or in the gallery in which queries are looked for, or both. Without
 * a third one, `split` divides the classes. Boxes are images of their own; an image may have several labels.
 *
 * @throws UserError if it cannot work, or an image is missing and `allowPartial` is not set
 */
export async function openCsv(options: CsvOptions): Promise<Dataset> {
  const file = await csvFile('csv', options.file);
  const folder = dirname(file);
  const data = new Distribution('csv', folder, `its paths are relative to ${folder}`, options);
  const images = await readImages(file, options.split ?? { kind: 'halves' });
  await refuseBoxesOutside(Object.values(images).flat(), file);
  const present = async (part: PartName) => await data.present(images[part], basename(file));
  const [train, gallery] = [await present('train'), await present('gallery')];
  const test = [...(await present('test')), ...(await present('query'))];
  if (images.test.length > 0 && images.query.length + images.gallery.length > 0) {
    throw new UserError(`${file}: expected query or gallery in each test line or in none, found both`);
  }
  const inTrain = classesOf(train);
  const tested = [...test, ...gallery];
  const shared = [...classesOf(tested)].find((id) => inTrain.has(id));
  if (shared !== undefined) {
    throw new UserError(
      `${file}: the class ${JSON.stringify(shared)} is in train and in test; retrieval is tested on classes that were not trained on`,
    );
  }
  const searched = sortedIds(tested);
  const several = [train, tested].some((images) => images.some(({ ids }) => ids));
  const split = (name: string, some: readonly ListedImage<string>[], classes?: readonly string[]) => {
    // A class may be in the gallery alone.
    const described = classes ? tested : some;
    const listed = data.split(name, some, classes, String, described);
    return several ? withLabelSets(listed) : listed;
  };
  const dataset: Dataset = {
    name: basename(file, '.csv'),
    train: split('train', train),
    test: split(images.query.length > 0 ? 'query' : 'test', test, searched),
    ...(images.gallery.length > 0 && { gallery: split('gallery', gallery, searched) }),
    recallAt: usualRecallAt,
  };
  return await data.checked(dataset, {
    source: file,
    published: false,
    tested: options.split?.kind !== 'all',
    trained: train.length > 0,
  });
}

/** An image as a line lists it. */
interface CsvListed extends ListedImage<string> {
  line: number;
}

async function readImages(file: string, split: ClassSplit): Promise<Record<PartName, CsvListed[]>> {
  // Row by row: what a million rows say is kept in less than the rows.
  const rows = csvImages(csvRows(await readTextFile(file, 'a CSV file'), file), file);
  const first = rows.next();
  if (first.done) return await divide([], file, split);
  const all = startingWith(first.value, rows);
  return saysSplit(first.value) ? readDivided(all, file, split) : await divide(all, file, split);
}

function* startingWith<T>(first: T, others: Iterable<T>): Generator<T> {
  yield first;
  yield* others;
}

const saysSplit = ({ split, role }: CsvImage) => split !== '' || role !== '';

const DIVIDED = 'path,label,train or path,label,test[,query|gallery|both]';

/** @param names of classes: one text of each for all of its images */
function listed(
  { path, labels, category, row }: CsvImage,
  file: string,
  names: Map<string, string>,
): CsvListed {
  const [id = ''] = labels;
  if (!names.has(id)) names.set(id, id);
  const image: CsvListed = { path: imagePath(path, row, file), id: names.get(id)!, line: row.line };
  if (category !== undefined) image.category = category;
  if (labels.length > 1) image.ids = labels;
  return image;
}

/** Rows that say themselves what trains. */
function readDivided(
  rows: Iterable<CsvImage>,
  file: string,
  split: ClassSplit,
): Record<PartName, CsvListed[]> {
  if (split.kind !== 'halves' && split.kind !== 'all') {
    throw new UserError(
      `${file}: it has a split column, train and test, which another way to divide the classes contradicts; leave one of them out`,
    );
  }
  const images: Record<PartName, CsvListed[]> = { train: [], test: [], query: [], gallery: [] };
  const names = new Map<string, string>();
  for (const image of rows) {
    const { path, labels, role } = image;
    // Queries and galleries are of the test.
    const half = image.split === '' && role !== '' ? 'test' : image.split;
    const fits = half === 'train' ? role === '' : half === 'test' && roles.includes(role);
    if (path === '' || labels.length === 0 || !fits) throw unexpected(image, file, DIVIDED);
    const parts = role === 'both' ? (['query', 'gallery'] as const) : [(role || half) as PartName];
    for (const part of parts) images[part].push(listed(image, file, names));
  }
  return images;
}

const roles = ['', 'query', 'gallery', 'both'];

/** Rows of `path,label`: whole classes train or test. */
async function divide(
  rows: Iterable<CsvImage>,
  file: string,
  split: ClassSplit,
): Promise<Record<PartName, CsvListed[]>> {
  const classes = new Map<string, CsvListed[]>();
  const names = new Map<string, string>();
  let first: CsvImage | null = null;
  for (const image of rows) {
    first ??= image;
    if (saysSplit(image)) throw unexpected(first, file, DIVIDED);
    const { path, labels } = image;
    const [id] = labels;
    if (path === '' || id === undefined)
      throw unexpected(image, file, 'path,label[,train|test[,query|gallery|both]]');
    if (labels.length > 1)
      throw new UserError(
        `${file}, line ${image.row.line}: an image of several labels belongs to no one class that could be divided: say in a column split what trains`,
      );
    const known = classes.get(id);
    if (known) known.push(listed(image, file, names));
    else classes.set(id, [listed(image, file, names)]);
  }
  const sorted = [...classes.keys()]
    .sort(byCodePoint)
    .map((name) => ({ name, paths: (classes.get(name) ?? []).map(({ path }) => path) }));
  const { train, test } = await splitClasses(sorted, file, split);
  const all = (some: typeof train) => some.flatMap(({ name }) => classes.get(name) ?? []);
  return { train: all(train), test: all(test), query: [], gallery: [] };
}

function unexpected({ row }: CsvImage, file: string, expected: string): UserError {
  const got = JSON.stringify(row.cells.join(','));
  return new UserError(`${file}, line ${row.line}: expected ${expected}, got ${got}${partedOtherwise(row)}`);
}

function imagePath(path: string, { line }: { line: number }, file: string): string {
  const inside = pathInside(dirname(file), path);
  if (inside !== null) return inside;
  throw new UserError(
    `${file}, line ${line}: expected a path inside ${dirname(file)}, ${JSON.stringify(path)} leads outside`,
  );
}

export const csv = part({
  name: 'csv',
  help: "images of one's own, or boxes in them, that a CSV file lists: path,label,split",
  options: z.strictObject({
    file: z.string().min(1).describe('the CSV file, or a folder with one in it'),
    ...classSplitOptions,
    ...allowPartialOption,
  }),
  build: ({ file, allowPartial, ...split }, context: DatasetContext) => {
    const { excluded, onWarning } = context;
    return openCsv({ file, allowPartial, split: classSplitOf(split, context), excluded, onWarning });
  },
});
