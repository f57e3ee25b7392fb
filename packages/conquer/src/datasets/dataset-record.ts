import { createHash } from 'node:crypto';
import { relative, sep } from 'node:path';
import { counted } from '../counted.js';
import { commonFolder, type Dataset, type Split } from './dataset.js';

/** Which files a split has, and of which class each is. */
export interface SplitRecord {
  /** What each label stands for. */
  classNames: string[];
  /** Relative to the data set's folder, with slashes; N of them. */
  paths: string[];
  /** N labels. */
  labels: number[];
}

/**
 * What a data set is, wherever it lies: the files of each split, their order and their classes. A run keeps it
 * (dataset.json), so that one that goes on, or is evaluated, can tell whether the data are still the same.
 */
export interface DatasetRecord {
  format: 'conquer-dataset-1';
  /** Of the splits, in hexadecimal. Two data sets are the same where it is the same. */
  sha256: string;
  /** Where it lay: an absolute path, which is not part of what is compared. */
  folder: string;
  /** By name: train, validation, test, gallery, and further test sets by theirs. */
  splits: Record<string, SplitRecord>;
}

/** The splits of a data set by the names that a record has for them. */
function splitsOf({ train, validation, test, gallery, testSets = [] }: Dataset): Record<string, Split> {
  const others = testSets.filter((set) => set !== test);
  return {
    train,
    ...(validation && { validation }),
    test,
    ...(gallery && { gallery }),
    ...Object.fromEntries(others.map((set) => [`test set ${set.name}`, set])),
  };
}

/** The record of a data set. Files are not opened: an image that was changed under its name is not noticed. */
export function recordOf(dataset: Dataset): DatasetRecord {
  return recordOfSplits(splitsOf(dataset), dataset.folder);
}

/** A split as JSON has it too. */
type ListedSplit = Pick<Split, 'classNames' | 'paths'> & { labels: ArrayLike<number> };

/** @param given absolute path of the folder they lie in; default: the deepest that holds all of them */
export function recordOfSplits(splits: Record<string, ListedSplit>, given?: string): DatasetRecord {
  const folder = given ?? commonFolder(Object.values(splits).flatMap(({ paths }) => paths)) ?? sep;
  const start = folder.endsWith(sep) ? folder : `${folder}${sep}`;
  const inside = (path: string) => {
    const short = path.startsWith(start) ? path.slice(start.length) : relative(folder, path);
    return sep === '/' ? short : short.replaceAll(sep, '/');
  };
  const records = Object.fromEntries(
    Object.entries(splits).map(([name, { classNames, paths, labels }]): [string, SplitRecord] => [
      name,
      { classNames: [...classNames], paths: paths.map(inside), labels: Array.from(labels) },
    ]),
  );
  return { format: 'conquer-dataset-1', sha256: hashOf(records), folder, splits: records };
}

function hashOf(splits: Record<string, SplitRecord>): string {
  const hash = createHash('sha256');
  for (const [name, { classNames, paths, labels }] of Object.entries(splits))
    hash.update(`${JSON.stringify([name, classNames, paths, labels])}\n`);
  return hash.digest('hex');
}

/** How many names are told of each kind of difference. */
const SHOWN = 3;

const listed = (names: readonly string[]) =>
  `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`;

/** Where each name is: in which splits, and of which class there. */
function placesOf(record: DatasetRecord, kind: 'file' | 'class'): Map<string, string> {
  const places = new Map<string, string>();
  for (const [split, { classNames, paths, labels }] of Object.entries(record.splits)) {
    const names = kind === 'class' ? classNames : paths;
    for (const [i, name] of names.entries()) {
      const place = kind === 'class' ? split : `${split}/${classNames[labels[i] as number]}`;
      const before = places.get(name);
      places.set(name, before === undefined ? place : `${before}; ${place}`);
    }
  }
  return places;
}

/** What came, went and moved of files or classes, in words. */
function changes(before: DatasetRecord, now: DatasetRecord, kind: 'file' | 'class'): string[] {
  const [then, after] = [placesOf(before, kind), placesOf(now, kind)];
  const came = [...after.keys()].filter((name) => !then.has(name));
  const went = [...then.keys()].filter((name) => !after.has(name));
  const moved = [...then].flatMap(([name, place]) => {
    const to = after.get(name);
    return to === undefined || to === place ? [] : [`${name} from ${place} to ${to}`];
  });
  const say = (names: readonly string[], what: string) => {
    if (names.length === 0) return [];
    const many = kind === 'file' ? counted(names.length, 'image') : counted(names.length, 'class', 'classes');
    return [`${many} ${what} (${listed(names)})`];
  };
  return [...say(came, 'came'), ...say(went, 'went'), ...say(moved, 'moved')];
}

/** What differs between two data sets, in a line; null where they are the same. */
export function datasetDifferences(before: DatasetRecord, now: DatasetRecord): string | null {
  if (before.sha256 === now.sha256) return null;
  const differences = [...changes(before, now, 'class'), ...changes(before, now, 'file')];
  return differences.length > 0 ? differences.join('; ') : 'the same images in another order';
}

/** The classes of a data set that are trained on and tested on, by name: none of them would be unseen. */
export function classesTrainedAndTested(dataset: Dataset): string[] {
  const { train, ...others } = splitsOf(dataset);
  const trained = new Set(train?.classNames);
  const tested = new Set(Object.values(others).flatMap(({ classNames }) => classNames));
  return [...tested].filter((name) => trained.has(name));
}
