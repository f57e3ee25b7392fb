import type { z } from 'zod';
import type { imageOptions } from './image-options.js';

/**
 * Side of the training images in an epoch: from `imageSizeFrom` it grows evenly, to `imageSize` after `imageSizeEpochs` epochs.
 *
 * @param epoch from 0 on
 * @param takesSide whether the network takes images of such a side; others become the next smaller that it takes
 */
export function imageSizeAt(
  epoch: number,
  {
    imageSize,
    imageSizeFrom,
    imageSizeEpochs,
  }: Pick<z.output<typeof imageOptions>, 'imageSize' | 'imageSizeFrom' | 'imageSizeEpochs'>,
  takesSide: (side: number) => boolean,
): number {
  if (imageSizeFrom === null || epoch >= imageSizeEpochs) return imageSize;
  let side = Math.floor(imageSizeFrom + ((imageSize - imageSizeFrom) * epoch) / imageSizeEpochs);
  while (side > imageSizeFrom && !takesSide(side)) side--;
  return side;
}
