import { part } from '../part.js';
import type { AugmentationContext } from './augmentation.js';
import { cropOptions } from './crop-options.js';
import { trainingView } from './view.js';

export const standard = {
  ...part({
    name: 'standard',
    help: 'a random part of the image, mirrored half of the time',
    options: cropOptions,
    build: ({ minArea }, context: AugmentationContext) => trainingView(context, minArea),
  }),
  whole: false,
};
