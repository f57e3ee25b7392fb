import { resolve } from 'node:path';
import { commonFolder, UserError } from '@conquer-dml/run';
import type { Dataset, Split } from '../datasets/dataset.js';
import { foundImages } from '../datasets/found-images.js';
import { imageExtensions } from '../datasets/image-tree.js';
import type { LeftOut } from '../datasets/left-out.js';

/** Images as someone labelled and divided them. */
export interface AuditedImages {
  /** The folder that they lie in, absolute; null: they have none in common. */
  folder: string | null;
  /** N absolute paths, each once. */
  paths: string[];
  /** (N,) class of each; −1: it has none. */
  labels: Int32Array;
  classNames: string[];
  /** Of each the part of the data that it is in, such as train; null: they are not divided. */
  splits: string[] | null;
}

/** The images of a folder and its subfolders; what they are divided into by folders called train, val, test is told. */
export async function auditedFolder(path: string): Promise<AuditedImages & { leftOut: LeftOut }> {
  const { folder, images, leftOut, classOf, partOf } = await foundImages(path);
  if (images.length < 2)
    throw new UserError(
      `${folder}: expected images in it or its subfolders (${imageExtensions.join(', ')}), found ${images.length === 0 ? 'none' : 'one'}`,
    );
  const relative = images.map(({ path }) => path);
  const names = relative.map(classOf);
  const classNames = [...new Set(names.filter((name) => name !== null))];
  const numbers = new Map(classNames.map((name, label) => [name, label]));
  const parts = relative.map(partOf);
  return {
    folder,
    paths: images.map(({ path }) => resolve(folder, path)),
    labels: Int32Array.from(names, (name) => (name === null ? -1 : numbers.get(name)!)),
    classNames,
    splits: parts.every((part) => part !== null) && new Set(parts).size > 1 ? (parts as string[]) : null,
    leftOut,
  };
}

/**
 * The images of a data set; its queries and gallery are of one part. A class of the same name in two parts is one class.
 *
 * @throws UserError for images of several labels
 */
export function auditedDataset(dataset: Dataset): AuditedImages {
  const { train, validation, test, gallery, testSets = [] } = dataset;
  const numbers = new Map<string, number>();
  const places = new Map<string, number>();
  const labels: number[] = [];
  const splits: string[] = [];
  const add = (part: string, split: Split | undefined) => {
    if (split?.labelSets)
      throw new UserError(
        'audit looks at images of one class each, and those of this data set have several labels',
      );
    for (const [i, path] of split?.paths.entries() ?? []) {
      if (places.has(path)) continue;
      const name = split!.classNames[split!.labels[i]!]!;
      if (!numbers.has(name)) numbers.set(name, numbers.size);
      places.set(path, places.size);
      labels.push(numbers.get(name)!);
      splits.push(part);
    }
  };
  add('train', train);
  add('validation', validation);
  for (const split of [test, gallery, ...testSets]) add('test', split);
  const paths = [...places.keys()];
  return {
    folder: dataset.folder ?? commonFolder(paths),
    paths,
    labels: Int32Array.from(labels),
    classNames: [...numbers.keys()],
    splits: new Set(splits).size > 1 ? splits : null,
  };
}

/** Those at some places, in that order. Classes keep their numbers. */
export function someOf(images: AuditedImages, places: readonly number[]): AuditedImages {
  return {
    ...images,
    paths: places.map((place) => images.paths[place]!),
    labels: Int32Array.from(places, (place) => images.labels[place]!),
    splits: images.splits && places.map((place) => images.splits![place]!),
  };
}
