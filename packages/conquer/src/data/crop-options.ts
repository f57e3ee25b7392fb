import { z } from 'zod';

/** The options of augmentations that begin with a random part of the image, see RandomResizedCrop. */
export const cropOptions = z.strictObject({
  minArea: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.08)
    .describe('least share of the image that is cut out; the most is all of it'),
});
