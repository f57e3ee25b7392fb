import { z } from 'zod';
import { part } from '../part.js';
import type { Factor } from './schedule.js';

export const constant = {
  ...part({
    name: 'constant',
    help: 'the learning rates stay what they are',
    options: z.strictObject({}),
    build: (): Factor => () => 1,
  }),
  hasEnd: false,
};
