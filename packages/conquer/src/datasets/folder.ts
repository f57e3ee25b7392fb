import { basename, resolve } from 'node:path';
import { z } from 'zod';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { part } from '../part.js';
import { usualRecallAt } from '../recall-at.js';
import { withCheckedFiles } from './checked-files.js';
import { type ClassSplit, classSplitOf, classSplitOptions } from './class-split.js';
import { type Dataset, type DatasetContext, splitOfClasses } from './dataset.js';
import { readParts, refuseUntestable } from './folder-parts.js';
import { findImageNames } from './image-tree.js';

export interface FolderOptions {
  /** The folder with a subfolder of images for each class. */
  folder: string;
  /** Default `halves`. */
  split?: ClassSplit | undefined;
  /** Images that are left out afterwards, see `DatasetContext`. */
  excluded?: readonly string[] | undefined;
  /** Told of what is left out, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** All of its options. */
const optionNames: OptionNames<FolderOptions> = {
  folder: true,
  split: true,
  excluded: true,
  onWarning: true,
};

/**
 * Images of one's own: a class per subfolder, whose image files (by extension, in it and in the folders in it) are its
 * images. Where there are the folders `train` and `val` or `test` with class folders in them, those divide the data set;
 * with all three, `val` is for validation. What else the folder holds is left out and counted in a warning. The data set
 * has the folder's name; recall is reported at 1, 2, 4 and 8.
 * @throws UserError if the folder, the list or the split cannot work: it cannot be read, a listed class is
 *   not there, the fraction is not in (0, 1), a class is in two parts, or the training or test part lacks a second class
 *   or a class with two images (the test part only where there is to be one)
 */
export async function openFolder(options: FolderOptions): Promise<Dataset> {
  refuseUnknownOptions('openFolder', options, optionNames);
  const folder = resolve(options.folder);
  const { split = { kind: 'halves' }, excluded, onWarning } = options;
  const tree = await findImageNames(folder);
  const parts = await readParts(folder, tree, split, onWarning);
  if (tree.leftOut.files + tree.leftOut.folders > 0) onWarning?.(`${folder}: ${tree.leftOut}`);
  refuseUntestable(parts, folder, split.kind === 'all');
  const dataset: Dataset = {
    name: basename(folder),
    folder,
    train: splitOfClasses('train', parts.train),
    ...(parts.validation.length > 0 && { validation: splitOfClasses('validation', parts.validation) }),
    test: splitOfClasses('test', parts.test),
    recallAt: usualRecallAt,
  };
  return await withCheckedFiles(dataset, { source: folder, excluded, onWarning });
}

export const folder = part({
  name: 'folder',
  help: "images of one's own, a subfolder for each class",
  options: z.strictObject({
    folder: z.string().min(1).describe('the folder with a subfolder of images for each class'),
    ...classSplitOptions,
  }),
  build: ({ folder, ...split }, context: DatasetContext) => {
    const { excluded, onWarning } = context;
    return openFolder({ folder, split: classSplitOf(split, context), excluded, onWarning });
  },
});
