import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { IndexFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { calibrationOfModel } from '../retrieve/model-calibration.js';
import { folderOf } from '../retrieve/stores/stores.js';
import { setUpEngine } from '../train/engine.js';
import { maxFalseMatchOf } from './false-match-flag.js';
import { namingFlags } from './fill.js';
import { isFile, modelNamed, modelOf } from './model-of.js';
import { type Output, progressBar } from './terminal.js';

/** Options of commands that look at the images of a folder, or of an index. */
export interface PhotosFlags {
  model?: string;
  arch?: string;
  minSimilarity?: string;
  maxFalseMatch?: string;
  device?: string;
  plugin?: string;
  json?: boolean;
}

/** @param similarity from which on images are alike where nothing is said */
export function addPhotosFlags(command: Command, similarity: number): Command {
  return command
    .argument('<photos>', 'a folder of images, or an index')
    .option(
      '--model <name>',
      'for a folder: a run, a checkpoint file, or a published model (conquer models) [the built-in one]',
    )
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .option('--min-similarity <cosine>', `from which on two images are alike, −1 to 1 [${similarity}]`)
    .option(
      '--max-false-match <rate>',
      'in its place: the similarity that this false-match rate asks for (conquer calibrate)',
    )
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print lines of JSON');
}

/** An index that is there, or one of the folder's images that is made now and kept nowhere; the caller disposes it. */
export async function photosIndex(
  named: string,
  { model: modelName, arch, device, plugin, maxFalseMatch }: PhotosFlags,
  progress: Output,
): Promise<ImageIndex> {
  const photos = folderOf(named);
  namingFlags(() => setUpEngine({ train: { device } }));
  if (new IndexFolder(photos).exists() || (existsSync(photos) && isFile(photos)))
    return ImageIndex.open(photos);
  using model = await modelOf(modelNamed(modelName, progress), {
    checkpoint: 'best',
    device,
    plugin,
    arch,
    progress,
  });
  const calibration = calibrationOfModel(model);
  if (maxFalseMatch !== undefined && calibration === null)
    throw new UserError(
      `--max-false-match: expected a run that is calibrated (conquer calibrate) as --model, got ${modelName ?? 'none'}; or give --min-similarity`,
    );
  const { index, leftOut } = await indexFolder(model, resolve(photos), {
    onProgress: progressBar(progress, 'embedding'),
    onWarning: (message) => progress.write(`warning: ${message}\n`),
  });
  if (leftOut.files + leftOut.folders > 0) progress.write(`warning: ${leftOut}\n`);
  index.calibration = calibration;
  return index;
}

/**
 * From which similarity on images are alike, looked at before anything is embedded.
 *
 * @param usual where nothing is said
 * @returns of the index, which has to be calibrated where a false-match rate was given
 * @throws UserError for what is no cosine and no rate, or where both are given
 */
export function leastSimilarity(
  { minSimilarity, maxFalseMatch }: PhotosFlags,
  usual: number,
): (index: ImageIndex) => number {
  const rate = maxFalseMatchOf(maxFalseMatch);
  if (rate !== undefined && minSimilarity !== undefined)
    throw new UserError('expected --min-similarity or --max-false-match, got both');
  if (rate !== undefined) return (index) => index.threshold(rate);
  const similarity = minSimilarity === undefined ? usual : cosineOf(minSimilarity);
  return () => similarity;
}

/** @throws UserError for what is no cosine */
export function cosineOf(minSimilarity: string): number {
  const similarity = Number(minSimilarity);
  if (minSimilarity.trim() !== '' && similarity >= -1 && similarity <= 1) return similarity;
  throw new UserError(`--min-similarity: expected a number from -1 to 1, got '${minSimilarity}'`);
}
