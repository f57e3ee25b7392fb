import { optim } from '@conquer-dml/torch';
import { part } from '../part.js';
import { adamOptions } from './adam.js';
import type { Algorithm } from './optimizer.js';

export const adamw = part({
  name: 'adamw',
  help: 'Adam; weight decay shrinks the weights directly (Loshchilov and Hutter 2019)',
  options: adamOptions,
  build:
    ({ beta1, beta2, eps }): Algorithm =>
    (groups) =>
      new optim.AdamW(groups, { betas: [beta1, beta2], eps, weightDecay: 0 }),
});
