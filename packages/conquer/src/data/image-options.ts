import { z } from 'zod';

/** What an experiment says of how its images are read, besides the augmentation. */
export const imageOptions = z.strictObject({
  imageSize: z.int().min(8).default(224).describe('side of the images that the network sees, in pixels'),
  imageSizeFrom: z
    .int()
    .min(8)
    .nullable()
    .default(null)
    .describe(
      'side of the training images in the first epoch, from which it grows evenly to imageSize; evaluation sees imageSize throughout; null: imageSize',
    ),
  imageSizeEpochs: z
    .int()
    .min(1)
    .default(50)
    .describe('epochs after which the side of the training images has grown to imageSize'),
  resize: z
    .int()
    .min(8)
    .nullable()
    .default(null)
    .describe(
      'short side before the centre is cut out, in pixels; null: as the weights of a published backbone were evaluated, else 8/7 of imageSize',
    ),
  cache: z
    .boolean()
    .default(false)
    .describe('decode every image once, reduced to resize, and keep the pixels'),
  onBadImage: z
    .enum(['fail', 'skip'])
    .default('fail')
    .describe(
      'an image that cannot be read ends the run, or another of its class takes its place, for up to 5 %',
    ),
});
