import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { IndexFolder } from '@conquer-dml/run';
import { type Command, Option } from 'commander';
import { ImageIndex } from '../retrieve/image-index.js';
import { indexFolder } from '../retrieve/index-folder.js';
import { setUpEngine } from '../train/engine.js';
import { namingFlags } from './fill.js';
import { isFile, modelNamed, modelOf } from './model-of.js';
import { type Output, progressBar } from './terminal.js';

/** Options of commands that look at the images of a folder, or of an index. */
export interface PhotosFlags {
  model?: string;
  arch?: string;
  minSimilarity: string;
  device?: string;
  plugin?: string;
  json?: boolean;
}

/** @param similarity the default from which on images are alike */
export function addPhotosFlags(command: Command, similarity: string): Command {
  return command
    .argument('<photos>', 'a folder of images, or an index')
    .option(
      '--model <name>',
      'for a folder: a run, a checkpoint file, or a published model (conquer models) [the built-in one]',
    )
    .option('--arch <name>', 'the network, for a file of weights that does not say it')
    .addOption(
      new Option('--min-similarity <cosine>', 'from which on two images are alike, −1 to 1').default(
        similarity,
      ),
    )
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print lines of JSON');
}

/** An index that is there, or one of the folder's images that is made now and kept nowhere; the caller disposes it. */
export async function photosIndex(
  photos: string,
  { model: named, arch, device, plugin }: Omit<PhotosFlags, 'minSimilarity'>,
  progress: Output,
): Promise<ImageIndex> {
  namingFlags(() => setUpEngine({ train: { device } }));
  if (new IndexFolder(photos).exists() || (existsSync(photos) && isFile(photos)))
    return ImageIndex.open(photos);
  using model = await modelOf(modelNamed(named, progress), {
    checkpoint: 'best',
    device,
    plugin,
    arch,
    progress,
  });
  const { index, leftOut } = await indexFolder(model, resolve(photos), {
    onProgress: progressBar(progress, 'embedding'),
    onWarning: (message) => progress.write(`warning: ${message}\n`),
  });
  if (leftOut.files + leftOut.folders > 0) progress.write(`warning: ${leftOut}\n`);
  return index;
}
