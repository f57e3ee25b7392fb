import { z } from 'zod';
import { part } from '../part.js';
import type { AugmentationContext } from './augmentation.js';
import { trainingView } from './view.js';

export const standard = {
  ...part({
    name: 'standard',
    help: 'a random part of the image, mirrored half of the time',
    options: z.strictObject({}),
    build: (_, context: AugmentationContext) => trainingView(context),
  }),
  whole: false,
};
