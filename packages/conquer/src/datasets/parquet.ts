import { z } from 'zod';
import { part } from '../part.js';
import { classSplitOf, classSplitOptions } from './class-split.js';
import type { DatasetContext } from './dataset.js';
import { openShards, shardOptions } from './shards.js';

export const parquet = part({
  name: 'parquet',
  help: "images in Parquet files, as Hugging Face's data sets have them",
  options: z.strictObject({
    folder: z
      .string()
      .min(1)
      .describe('a folder of .parquet files, one of them, or a pattern such as train-{00..09}.parquet'),
    ...shardOptions,
    ...classSplitOptions,
  }),
  build: ({ folder, image, label, ...split }, context: DatasetContext) =>
    openShards({ ...context, kind: 'parquet', folder, image, label, split: classSplitOf(split, context) }),
});
