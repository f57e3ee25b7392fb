import { join } from 'node:path';
import { cacheFolder } from '../../cache-folder.js';
import { download } from './download.js';
import { PublishedFile } from './published-file.js';

/** A file of published weights; its name ends in the first digits of its SHA-256 sum. */
export interface PublishedWeights {
  /** Name of the file. */
  file: string;
  /** Its size in MiB, to three digits. */
  mebibytes: number;
}

const TORCHVISION_URL = 'https://download.pytorch.org/models/';

export interface FetchWeightsOptions {
  /** The address before the file's name; `$CONQUER_WEIGHTS_URL` (a mirror), or torchvision's when left out. */
  baseUrl?: string;
  /** Where the file is kept; `weights` in the cache folder when left out. */
  folder?: string;
  /** Counts bytes; not called for a file that is there already. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/**
 * Fetches published weights once; a file that is there is checked by its size and SHA-256 sum, and a download
 * that broke off goes on where it stopped.
 *
 * @returns the path of their file
 * @throws UserError that says which file to fetch from where and where to put it
 * @throws RangeError if the file's name does not end in digits of its hash
 */
export async function fetchWeights(
  { file, mebibytes }: PublishedWeights,
  options: FetchWeightsOptions = {},
): Promise<string> {
  const { baseUrl = process.env.CONQUER_WEIGHTS_URL || TORCHVISION_URL, onProgress } = options;
  const path = join(options.folder ?? join(cacheFolder(), 'weights'), file);
  const url = `${baseUrl.replace(/\/+$/, '')}/${file}`;
  const digits = /-([0-9a-f]{8,})\.\w+$/.exec(file)?.[1];
  if (digits === undefined) {
    throw new RangeError(`the name of published weights ends in their hash: got '${file}'`);
  }
  const published = new PublishedFile({ mebibytes }, { kind: 'SHA-256', digits });
  await download({ url, file: path, published, onProgress });
  return path;
}
