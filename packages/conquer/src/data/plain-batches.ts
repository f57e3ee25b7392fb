import { ImageFiles, type ImageInput, type ImageSet, ReducedImages } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';
import { Random } from '../random.js';
import { CropSource } from './crop-source.js';
import { InOrderBatches } from './in-order.js';
import { Loader, type LoaderOptions } from './loader.js';
import { evaluationView } from './view.js';

/** Images embedded at a time, wherever that is: more are no faster on a processor, and take more memory. */
export const BATCH = 64;

/** Images as a network is given them, reduced where its view says so, whether or not they are decoded once and kept. */
export function imagesAsSeen(images: readonly ImageInput[], { reduction }: Preprocessing): ImageSet {
  return reduction ? new ReducedImages(images, reduction) : new ImageFiles(images);
}

export interface PlainBatchesOptions
  extends Pick<LoaderOptions, 'substitutes' | 'onBad' | 'device' | 'prefetch'> {
  /** (N,); default 0 for each. */
  labels?: Int32Array | undefined;
  /** Images of a batch; default 64. */
  batchSize?: number | undefined;
  /** Of the images those that are read; default: all. */
  part?: { from: number; count: number } | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
}

/**
 * Images in their order, nothing drawn: the one way from images to what a network is given of them, for evaluation,
 * divisions, an index and a query.
 *
 * @param images reduced as `view` says, see `imagesAsSeen`
 * @param view the model's
 */
export function plainBatches(
  images: ImageSet,
  view: Preprocessing,
  { labels, batchSize = BATCH, threads, part, ...loading }: PlainBatchesOptions = {},
): Loader {
  const { cropping, transform } = evaluationView(view);
  const { from, count } = part ?? { from: 0, count: images.count };
  return new Loader({
    ...loading,
    source: new CropSource({ images, cropping, threads }),
    labels: labels ?? new Int32Array(images.count),
    batches: new InOrderBatches(count, batchSize, from),
    transform,
    random: new Random(0),
  });
}
