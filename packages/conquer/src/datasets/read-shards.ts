import { relative } from 'node:path';
import type { FolderParts } from './folder-parts.js';
import { partOf } from './folder-parts.js';
import { parquetShard } from './parquet-shard.js';
import {
  type ShardFile,
  type ShardImages,
  type ShardKind,
  type ShardOptions,
  shardFiles,
} from './shard-files.js';
import { tarSamples } from './tar-samples.js';

export interface ReadShards {
  /** The folder that all shards lie in. */
  folder: string;
  shards: {
    file: ShardFile;
    /** What its name or those of its folders say it is for: `train-0001.tar`, `val/0001.tar`. */
    part: keyof FolderParts | null;
    images: ShardImages;
  }[];
}

/**
 * The images of all shards that a text names, see `shardFiles`.
 *
 * @throws UserError as that, `tarSamples` and `parquetShard` do
 */
export async function readShards(
  kind: ShardKind,
  text: string,
  options: ShardOptions,
  onProgress?: (progress: { done: number; total: number }) => void,
): Promise<ReadShards> {
  const { folder, files } = await shardFiles(kind, text);
  const read = kind === 'webdataset' ? tarSamples : parquetShard;
  const shards: ReadShards['shards'] = [];
  for (const file of files) {
    shards.push({ file, part: partIn(relative(folder, file.path)), images: await read(file, options) });
    onProgress?.({ done: shards.length, total: files.length });
  }
  return { folder, shards };
}

/** The first word of a path that stands for a part. */
function partIn(path: string): keyof FolderParts | null {
  for (const word of path.split(/[^A-Za-z]+/)) {
    const part = partOf(word);
    if (part) return part;
  }
  return null;
}
