import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Factor, ScheduleContext } from './schedule.js';

// oneCycle counts steps; a thousand of them an epoch make it smooth, whatever the batches.
const STEPS_AN_EPOCH = 1000;

export const oneCycle = {
  ...part({
    name: 'one-cycle',
    help: 'up to the full rate by half a cosine, then down by another (Smith and Topin 2018)',
    options: z.strictObject({
      peak: z.number().min(0).max(1).default(0.3).describe('share of the training before the peak'),
    }),
    build: ({ peak }, { length }: ScheduleContext): Factor => {
      const steps = Math.max(1, Math.round(length * STEPS_AN_EPOCH));
      const cycle = optim.oneCycle({ steps, pctStart: peak });
      return (epoch) => cycle(epoch * STEPS_AN_EPOCH);
    },
  }),
  hasEnd: true,
};
