import { optim } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part } from '../part.js';
import type { Algorithm } from './optimizer.js';

const options = z.strictObject({
  momentum: z
    .number()
    .min(0)
    .max(0.999999)
    .default(0.9)
    .describe('how much of the velocity stays at each step; 0: none is kept'),
  nesterov: z.boolean().default(false).describe('look ahead along the velocity'),
});

export const sgd = part({
  name: 'sgd',
  help: 'stochastic gradient descent with momentum; weight decay is added to the gradient',
  options,
  /** @throws OptionError for nesterov without momentum */
  build: ({ momentum, nesterov }): Algorithm => {
    if (nesterov && momentum === 0) {
      throw new OptionError('nesterov', 'looks ahead along the velocity: expected a momentum above 0, got 0');
    }
    return (groups) => new optim.SGD(groups, { momentum, nesterov, weightDecay: 0 });
  },
});
