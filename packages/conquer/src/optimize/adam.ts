import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { part } from '../part.js';
import type { Algorithm } from './optimizer.js';

/** Of Adam and AdamW alike. */
export const adamOptions = z.strictObject({
  beta1: z
    .number()
    .min(0)
    .max(0.999999)
    .default(0.9)
    .describe('how much of the running mean of the gradient stays at each step'),
  beta2: z
    .number()
    .min(0)
    .max(0.999999)
    .default(0.999)
    .describe('how much of the running mean of its square stays at each step'),
  eps: z.number().min(0).default(1e-8).describe('added to the root of the second moment'),
});

export const adam = part({
  name: 'adam',
  help: 'Adam; weight decay is added to the gradient (Kingma and Ba 2015)',
  options: adamOptions,
  build:
    ({ beta1, beta2, eps }): Algorithm =>
    (groups) =>
      new optim.Adam(groups, { betas: [beta1, beta2], eps, weightDecay: 0 }),
});
