import type { View } from '../data/view.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { OptionError } from '../option-error.js';
import type { Experiment } from './experiment.js';

/**
 * @param view that a program has given in the place of an augmentation's name
 * @throws OptionError for a size of training images to grow from that cannot be; then the model is disposed
 */
export function refuseGrowth(
  { imageSize, imageSizeFrom: from }: Experiment['data'],
  model: EmbeddingModel,
  view: View | undefined,
): void {
  if (from === null) return;
  try {
    if (from > imageSize) throw new RangeError(`expected at most data.imageSize, ${imageSize}, got ${from}`);
    if (view)
      throw new RangeError("expected null with an augmentation of one's own, whose images have one size");
    model.backbone.requireImages([1, 3, from, from]);
  } catch (error) {
    model.dispose();
    throw new OptionError('data.imageSizeFrom', (error as Error).message);
  }
}
