import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Factor, ScheduleContext } from './schedule.js';

export const cosine = {
  ...part({
    name: 'cosine',
    help: 'half a cosine from the full rate to 0 at the end',
    options: z.strictObject({}),
    build: (_, { length }: ScheduleContext): Factor => optim.cosine({ steps: Math.max(length, 1e-9) }),
  }),
  hasEnd: true,
};
