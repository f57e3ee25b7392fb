import { z } from 'zod';
import { part } from '../part.js';
import { classSplitOf, classSplitOptions } from './class-split.js';
import type { DatasetContext } from './dataset.js';
import { openShards, shardOptions } from './shards.js';

export const webdataset = part({
  name: 'webdataset',
  help: "images of one's own in tar shards, as webdataset has them: key.jpg, key.cls",
  options: z.strictObject({
    folder: z
      .string()
      .min(1)
      .describe('a folder of .tar files, one of them, or a pattern such as shard-{0000..0099}.tar'),
    ...shardOptions,
    ...classSplitOptions,
  }),
  build: ({ folder, image, label, ...split }, context: DatasetContext) =>
    openShards({ ...context, kind: 'webdataset', folder, image, label, split: classSplitOf(split, context) }),
});
