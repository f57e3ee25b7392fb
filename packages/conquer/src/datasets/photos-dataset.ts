import { shardKindOf } from './shard-files.js';

/** Photos of one's own as an experiment names them: a CSV file, a folder of images, or shards. */
export type PhotosDataset =
  | { name: 'csv'; file: string }
  | { name: 'folder' | 'webdataset' | 'parquet'; folder: string };

/** What a path is of: shards where it names one, or is a folder that holds none but them. Nothing is read of a CSV file. */
export async function photosDataset(path: string): Promise<PhotosDataset> {
  if (path.toLowerCase().endsWith('.csv')) return { name: 'csv', file: path };
  const kind = await shardKindOf(path);
  return { name: kind ?? 'folder', folder: path };
}
