import { createHash } from 'node:crypto';
import { relative, sep } from 'node:path';
import { commonFolder } from '../common-folder.js';
import { isFields } from './fields.js';
import { isImageList, type LabelledImages } from './test-images.js';

/** Which files a split has, and of which class each is. */
export interface SplitRecord {
  /** What each label stands for. */
  classNames: string[];
  /** Relative to the data set's folder, with slashes; N of them. */
  paths: string[];
  /** N labels. */
  labels: number[];
  /** N lists of labels, where images may have several. */
  labelSets?: number[][];
  /** Where pairs are in the place of classes: both images of each by place, and 1 where they are the same. */
  pairs?: { first: number[]; second: number[]; same: number[] };
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

/**
 * The record of a data set. Files are not opened: an image that was changed under its name is not noticed.
 *
 * @param given absolute path of the folder they lie in; default: the deepest that holds all of them */
export function recordOfSplits(splits: Record<string, LabelledImages>, given?: string): DatasetRecord {
  const folder = given ?? commonFolder(Object.values(splits).flatMap(({ paths }) => paths)) ?? sep;
  const start = folder.endsWith(sep) ? folder : `${folder}${sep}`;
  const inside = (path: string) => {
    const short = path.startsWith(start) ? path.slice(start.length) : relative(folder, path);
    return sep === '/' ? short : short.replaceAll(sep, '/');
  };
  const records = Object.fromEntries(
    Object.entries(splits).map(
      ([name, { classNames, paths, labels, labelSets, pairs }]): [string, SplitRecord] => [
        name,
        {
          classNames: [...classNames],
          paths: paths.map(inside),
          labels: Array.from(labels),
          ...(labelSets && { labelSets: labelSets.map((set) => Array.from(set)) }),
          ...(pairs && {
            pairs: {
              first: Array.from(pairs.first),
              second: Array.from(pairs.second),
              same: Array.from(pairs.same),
            },
          }),
        },
      ],
    ),
  );
  return { format: 'conquer-dataset-1', sha256: hashOf(records), folder, splits: records };
}

function hashOf(splits: Record<string, SplitRecord>): string {
  const hash = createHash('sha256');
  for (const [name, { classNames, paths, labels, labelSets, pairs }] of Object.entries(splits)) {
    const listed = [name, classNames, paths, labels];
    hash.update(
      `${JSON.stringify([...listed, ...(labelSets ? [labelSets] : []), ...(pairs ? [pairs] : [])])}\n`,
    );
  }
  return hash.digest('hex');
}

/** What dataset.json holds; null for what is none. @param value as JSON.parse gives it */
export function datasetRecordOf(value: unknown): DatasetRecord | null {
  if (!isFields(value)) return null;
  const { sha256, folder, splits } = value;
  const whole =
    typeof sha256 === 'string' &&
    typeof folder === 'string' &&
    isFields(splits) &&
    Object.values(splits).every(isImageList);
  return whole ? (value as unknown as DatasetRecord) : null;
}
