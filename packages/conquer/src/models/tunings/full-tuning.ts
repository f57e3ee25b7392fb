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
  }),
  build: ({ freezeBelow }, { backbone }: TuningContext) => backbone.freezeBelow(freezeBelow),
});
