import { z } from 'zod';
import { part } from '../part.js';
import type { AugmentationContext } from './augmentation.js';
import { evaluationView } from './view.js';

export const none = {
  ...part({
    name: 'none',
    help: 'what evaluation sees',
    options: z.strictObject({}),
    build: (_, context: AugmentationContext) => evaluationView(context),
  }),
  whole: true,
};
