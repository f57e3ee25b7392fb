import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Factor, ScheduleContext } from './schedule.js';

export const cosine = {
  ...part({
    name: 'cosine',
    help: 'half a cosine from the full rate to the last at the end',
    options: z.strictObject({
      lastFactor: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe('last learning rate, as a share of the full one'),
    }),
    build: ({ lastFactor: end }, { length }: ScheduleContext): Factor =>
      optim.cosine({ steps: Math.max(length, 1e-9), end }),
  }),
  hasEnd: true,
};
