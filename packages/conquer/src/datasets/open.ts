import { UserError } from '../error.js';
import type { Dataset } from './dataset.js';
import { openEmoji } from './emoji.js';
import { type FolderSplit, openFolder } from './folder.js';

/** The data sets by the names that the command line knows. */
export const datasetNames = ['emoji', 'emoji-tones', 'folder'] as const;

export type DatasetName = (typeof datasetNames)[number];

/** What `openDataset` passes on to the data set that is opened; each uses its own part. */
export interface OpenDatasetOptions {
  /** The folder of images; needed by `folder`. */
  folder?: string | undefined;
  /** How `folder` divides its classes. */
  split?: FolderSplit | undefined;
  /** Called while something is prepared that will be there the next time. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
  onWarning?: ((message: string) => void) | undefined;
}

/** Opens a data set by its name. @throws UserError if there is no such data set, or it cannot be opened */
export async function openDataset(name: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  const { folder, split, onProgress, onWarning } = options;
  switch (name as DatasetName) {
    case 'emoji':
    case 'emoji-tones':
      return await openEmoji({ tones: name === 'emoji-tones', onProgress });
    case 'folder':
      if (!folder) {
        throw new UserError(
          'the data set "folder" needs the path of a folder with a subfolder of images per class',
        );
      }
      return await openFolder({ folder, split, onWarning });
    default:
      throw new UserError(
        `expected one of the data sets ${datasetNames.join(', ')}, got ${JSON.stringify(name)}`,
      );
  }
}
