import { z } from 'zod';
import { part } from '../../part.js';
import type { TuningContext } from './tuning.js';

export const fullTuning = part({
  name: 'full',
  help: "the backbone's weights learn, from a depth on",
  options: z.strictObject({
    freezeBelow: z
      .int()
      .min(0)
      .default(0)
      .describe(
        'layers that stay as they are, from the images on: the first takes the images, each block is one',
      ),
    keptViews: z
      .int()
      .min(1)
      .max(64)
      .nullable()
      .default(null)
      .describe(
        'augmented views of each image whose output of the layers that stay is kept on the disk, so that a step runs the others only; null: each step augments anew, and runs all',
      ),
    keptGigabytes: z.number().gt(0).default(20).describe('most that these views may take there'),
  }),
  build: ({ freezeBelow }, { backbone }: TuningContext) => backbone.freezeBelow(freezeBelow),
});
