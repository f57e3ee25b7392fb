import { UserError } from '@conquer/run';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { openCars } from './cars.js';
import type { ClassSplit } from './class-split.js';
import { openCsv } from './csv.js';
import { openCub } from './cub.js';
import type { Dataset } from './dataset.js';
import type { DistributionOptions } from './distribution.js';
import { openEmoji } from './emoji.js';
import { openFolder } from './folder.js';
import { openInshop } from './inshop.js';
import { openSop } from './sop.js';
import { openVehicleId } from './vehicle-id.js';

/** The data sets by the names that the command line knows. */
export const datasetNames = [
  'emoji',
  'emoji-tones',
  'folder',
  'csv',
  'cub',
  'cars',
  'sop',
  'inshop',
  'vid',
] as const;

/** A name that `openDataset` knows. */
export type DatasetName = (typeof datasetNames)[number];

/** What `openDataset` passes on to the data set that is opened; each uses its own part. */
export interface OpenDatasetOptions {
  /** The folder of images (`folder`), the file (`csv`), or the folder that holds the data set's own; not for emoji. */
  folder?: string | undefined;
  /** How the classes of `folder`, and of `csv` without a split column, are divided; the others say it themselves. */
  split?: ClassSplit | undefined;
  /** Take a published data set that is not whole, with a warning. Default false. */
  allowPartial?: boolean | undefined;
  /** Called while something is prepared that will be there the next time. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  /** Told of what is left out or deviates, a line each. */
  onWarning?: ((message: string) => void) | undefined;
}

/** All of its options. */
const optionNames: OptionNames<OpenDatasetOptions> = {
  folder: true,
  split: true,
  allowPartial: true,
  onProgress: true,
  onWarning: true,
};

const distributed: Partial<Record<string, (options: DistributionOptions) => Promise<Dataset>>> = {
  cub: openCub,
  cars: openCars,
  sop: openSop,
  inshop: openInshop,
  vid: openVehicleId,
};

/**
 * Opens a data set by its name, one of `datasetNames`.
 * @throws UserError if there is no such data set, it needs a folder and has none, or it cannot be opened
 */
export async function openDataset(name: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  refuseUnknownOptions('openDataset', options, optionNames);
  const { folder, split, allowPartial, onProgress, onWarning } = options;
  const isEmoji = name === 'emoji' || name === 'emoji-tones';
  const open = Object.hasOwn(distributed, name) ? distributed[name] : undefined;
  if ((isEmoji || open) && split && split.kind !== 'halves' && split.kind !== 'all')
    throw new UserError(`the data set "${name}" says itself which classes train: leave --split out`);
  if (isEmoji) return await openEmoji({ tones: name === 'emoji-tones', onProgress });
  if (name !== 'folder' && name !== 'csv' && !open) {
    throw new UserError(
      `expected one of the data sets ${datasetNames.join(', ')}, got ${JSON.stringify(name)}`,
    );
  }
  if (!folder) {
    const what =
      name === 'folder'
        ? 'the path of a folder with a subfolder of images per class'
        : name === 'csv'
          ? 'the path of a CSV file'
          : 'the path of the folder it lies in';
    throw new UserError(`the data set "${name}" needs ${what}: give --dataset-dir`);
  }
  if (name === 'csv') return await openCsv({ folder, split, allowPartial, onWarning });
  if (!open) return await openFolder({ folder, split, onWarning });
  return await open({ folder, allowPartial, onWarning });
}
