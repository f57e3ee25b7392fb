import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Factor } from './schedule.js';

export const step = {
  ...part({
    name: 'step',
    help: 'every few epochs lower by a factor',
    options: z.strictObject({
      stepSize: z.int().min(1).default(30).describe('epochs between steps'),
      gamma: z.number().min(0).default(0.3).describe('factor of a step'),
    }),
    build: (options): Factor => optim.stepLR(options),
  }),
  hasEnd: false,
};
