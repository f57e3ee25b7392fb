import { type RawPixels, ReducedImages, type SetRequest } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import { CenterCrop } from '../data/center-crop.js';
import { plainBatches } from '../data/plain-batches.js';
import { embedImages } from '../evaluate/embed.js';
import type { TrainedModel } from '../retrieve/trained-model.js';

/** Longer than any side: images that are brought to it stay as they are, and lie in memory, where they are resized as Pillow does. */
const LONGER = 65_535;

/**
 * The model's row of pixels, which are resized bit by bit as those of a JPEG file are: that is what a graph is to do. (Pixels that
 * are handed to a model itself go through sharp, whose bilinear filter is another by some levels.)
 */
export async function exactRows({ model, device }: TrainedModel, pixels: RawPixels): Promise<Tensor> {
  const batches = plainBatches(await exactly(pixels, model.view), model.view, { device });
  return await embedImages(model, batches, { nameOf: () => 'a picture' });
}

/** An image as the network's view reads it, reduced where it says so. */
export async function exactly(pixels: RawPixels, { reduction }: Preprocessing): Promise<ReducedImages> {
  const whole = new ReducedImages([pixels], { size: LONGER });
  if (reduction === null) return whole;
  const [size] = await new ReducedImages([pixels], reduction).sizes([0]);
  const data = new Uint8Array(size!.width * size!.height * 3);
  const { crop } = new CenterCrop({ size: 1 }).draw(pixels);
  const request: SetRequest = {
    index: 0,
    size: size!,
    ...(reduction.square && { crop }),
    ...(reduction.filter && { filter: reduction.filter }),
  };
  await whole.read([request], data);
  return new ReducedImages([{ ...size!, data }], { size: LONGER });
}
