import { resolve } from 'node:path';
import { commonFolder, counted, UserError } from '@conquer-dml/run';
import { parseCsv, partedOtherwise } from './csv-rows.js';
import type { Dataset, Split } from './dataset.js';
import { splitAt } from './split-at.js';
import { readTextFile } from './text-file.js';

/** Images that are to be left out of a data set. */
export interface ExcludedImages {
  /** The file that lists them, as messages name it. */
  file: string;
  /** As it names them: absolute, or relative to the data set's folder. */
  listed: readonly string[];
}

/**
 * @param file a CSV file with a column `path`, as `conquer audit` writes it
 * @throws UserError where it cannot be read or has no such column
 */
export const readExcluded = async (file: string): Promise<ExcludedImages> => ({
  file,
  listed: await pathsIn(file),
});

/**
 * The data set without some of its images; a class without images is no class any more.
 *
 * @throws UserError where none of them is an image of the data set
 */
export function withoutExcluded(
  dataset: Dataset,
  { file, listed }: ExcludedImages,
  onWarning?: (message: string) => void,
): Dataset {
  const { train, validation, test, gallery, testSets } = dataset;
  const splits = [train, validation, test, gallery, ...(testSets ?? [])].filter(
    (split) => split !== undefined,
  );
  const all = splits.flatMap(({ paths }) => paths);
  const folder = dataset.folder ?? commonFolder(all) ?? '/';
  const excluded = new Set(listed.map((path) => resolve(folder, path)));
  const there = new Set(all);
  const found = [...excluded].filter((path) => there.has(path)).length;
  if (excluded.size > 0 && found === 0)
    throw new UserError(
      `${file}: expected images of the data set, absolute or relative to ${folder}; none of its ${excluded.size} is there, such as ${[...excluded][0]}`,
    );
  if (found < excluded.size)
    onWarning?.(
      `${file}: ${excluded.size - found} of ${excluded.size} images to leave out are not in the data set`,
    );
  const without = (split: Split) => withoutPaths(split, excluded);
  const whole = splits.reduce((sum, { classNames }) => sum + classNames.length, 0);
  const left: Dataset = {
    ...dataset,
    train: without(train),
    ...(validation && { validation: without(validation) }),
    // Queries and gallery have their labels in common.
    ...(gallery ? {} : { test: without(test) }),
    ...(gallery && { test: keepingClasses(test, excluded), gallery: keepingClasses(gallery, excluded) }),
    ...(testSets && { testSets: testSets.map(without) }),
  };
  if (testSets) left.test = left.testSets![testSets.indexOf(test)] ?? left.test;
  const classes = [left.train, left.validation, left.test, left.gallery, ...(left.testSets ?? [])]
    .filter((split) => split !== undefined)
    .reduce((sum, { classNames }) => sum + classNames.length, 0);
  onWarning?.(
    `${file}: ${counted(found, 'image')} left out${whole > classes ? `, and with them ${train.pairs ? counted(whole - classes, 'group') : counted(whole - classes, 'class', 'classes')}` : ''}`,
  );
  return left;
}

async function pathsIn(file: string): Promise<string[]> {
  const [header, ...rows] = parseCsv(await readTextFile(file, 'a CSV file of images to leave out'), file);
  const column = header?.cells.findIndex((cell) => cell.toLowerCase() === 'path') ?? -1;
  if (column < 0)
    throw new UserError(
      `${file}: expected a first line with a column path, got ${header ? header.cells.join(',') + partedOtherwise(header) : 'nothing'}`,
    );
  return rows.map(({ cells, line }) => {
    const path = cells[column] ?? '';
    if (path === '') throw new UserError(`${file}, line ${line}: expected the path of an image, got nothing`);
    return path;
  });
}

const keptOf = ({ paths }: Split, excluded: ReadonlySet<string>): number[] =>
  [...paths.keys()].filter((place) => !excluded.has(paths[place]!));

/** Classes keep their numbers, those without images too. */
const keepingClasses = (split: Split, excluded: ReadonlySet<string>): Split =>
  splitAt(split, keptOf(split, excluded));

/** A split without some of its images, and the pairs that these are in; its classes are those that are left, numbered anew. */
export function withoutPaths(split: Split, excluded: ReadonlySet<string>): Split {
  const kept = keepingClasses(split, excluded);
  const present = new Set(kept.labels);
  for (const label of kept.labelSets?.flatMap((set) => [...set]) ?? []) present.add(label);
  if (present.size === split.classNames.length) return kept;
  const numbers = new Map([...present].sort((a, b) => a - b).map((label, number) => [label, number]));
  const { categories, labelSets } = kept;
  const order = [...numbers.keys()];
  return {
    ...kept,
    labels: kept.labels.map((label) => numbers.get(label)!),
    classNames: order.map((label) => split.classNames[label]!),
    ...(categories && { categories: order.map((label) => categories[label]!) }),
    ...(labelSets && { labelSets: labelSets.map((set) => set.map((label) => numbers.get(label)!)) }),
  };
}
