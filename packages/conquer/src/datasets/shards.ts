import { basename } from 'node:path';
import { counted, UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { usualRecallAt } from '../recall-at.js';
import { tellUnmatched } from './checked-files.js';
import { type ClassSplit, splitClasses } from './class-split.js';
import { byCodePoint } from './code-point-order.js';
import { type Dataset, type DatasetContext, type ImageClass, splitOfClasses } from './dataset.js';
import { dividedAs, type FolderParts, refuseUntestable } from './folder-parts.js';
import { type ReadShards, readShards } from './read-shards.js';
import type { ShardKind, ShardOptions } from './shard-files.js';

/** How an experiment says what of shards is read. */
export const shardOptions = {
  image: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe(
      'where a sample has several images, which it is about: the end of its name in tar (left.png), or a column',
    ),
  label: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('where the class stands, if not where it is usual: cls, txt or json.FIELD in tar, or a column'),
};

export interface ShardsOptions
  extends ShardOptions,
    Partial<Pick<DatasetContext, 'onProgress' | 'onWarning'>> {
  kind: ShardKind;
  /** A folder of shards, one of them, or a pattern. */
  folder: string;
  split: ClassSplit;
}

/**
 * A data set whose images lie in shards. Where these are for parts by their names, as `train-0001.tar` and `val-0001.tar` are, they divide
 * it; else, or where another split than halves is asked for, the classes do.
 *
 * @throws UserError where the shards cannot be read, an image has no class, or the split cannot work
 */
export async function openShards(options: ShardsOptions): Promise<Dataset> {
  const { kind, folder: source, split, image, label, onProgress, onWarning } = options;
  const read = await readShards(kind, source, { image, label }, onProgress);
  const empty = read.shards.reduce((sum, { images }) => sum + images.withoutImage, 0);
  if (empty > 0) onWarning?.(`${source}: ${counted(empty, 'sample')} without an image left out`);
  const parts = await partsOf(read, source, split, onWarning);
  refuseUntestable(parts, source, split.kind === 'all');
  const dataset: Dataset = {
    name: basename(read.folder),
    folder: read.folder,
    train: splitOfClasses('train', parts.train),
    ...(parts.validation.length > 0 && { validation: splitOfClasses('validation', parts.validation) }),
    test: splitOfClasses('test', parts.test),
    recallAt: usualRecallAt,
  };
  await tellUnmatched(dataset, source, onWarning);
  return dataset;
}

async function partsOf(
  { shards }: ReadShards,
  source: string,
  split: ClassSplit,
  onWarning?: (message: string) => void,
): Promise<FolderParts> {
  const kinds = new Set(shards.flatMap(({ part }) => part ?? []));
  if (!kinds.has('train') || kinds.size < 2)
    return { validation: [], ...(await splitClasses(classesOf(shards), source, split)) };
  const beside = shards.filter(({ part }) => part === null);
  if (beside.length > 0)
    onWarning?.(
      `${source}: ${counted(beside.length, 'shard')} beside those for ${[...kinds].join(' and ')} left out, the first is ${beside[0]!.file.path}`,
    );
  const of = (part: keyof FolderParts) => classesOf(shards.filter((shard) => shard.part === part));
  const found = { train: of('train'), validation: of('validation'), test: of('test') };
  const names = `the shards for ${[...kinds].join(' and ')}`;
  return await dividedAs(found, { source, names, split, onWarning });
}

/** In the order of their names: of numbers, where all are, by their size. @throws UserError for an image of none */
function classesOf(shards: ReadShards['shards']): ImageClass[] {
  const classes = new Map<string, ImageClass>();
  for (const { file, images } of shards) {
    const { paths, classNames, labels } = images;
    const own = classNames.map((name) => {
      const known = classes.get(name) ?? { name, paths: [] };
      classes.set(name, known);
      return known;
    });
    let missing = 0;
    let first: string | undefined;
    for (const [i, path] of paths.entries()) {
      const of = own[labels[i]!];
      if (of) of.paths.push(path);
      else {
        missing++;
        first ??= path;
      }
    }
    if (first !== undefined)
      throw new UserError(
        `${file.path}: ${counted(missing, 'image has', 'images have')} no class, the first is ${first}: expected one for each, data.dataset.label says where it stands`,
      );
  }
  const numeric = [...classes.keys()].every((name) => /^\d{1,15}$/.test(name));
  return [...classes.values()].sort((a, b) =>
    numeric ? Number(a.name) - Number(b.name) : byCodePoint(a.name, b.name),
  );
}
