import type { BatchImages } from '../batch-images.js';
import type { ImagePairs } from '../image-pairs.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { Random } from '../random.js';
import type { Batch } from './loader.js';

/** Where images come from. Batches are decoded ahead of the loop; their tensors belong to it. */
export interface TrainingData {
  /** (N,) classes of the training images. */
  trainLabels: Int32Array;
  /** All classes of each image of a split, where it may have several: then the first of each is in its `…Labels`. */
  labelSets?: Partial<Record<'train' | 'test' | 'validation' | 'gallery', readonly Int32Array[]>>;
  /** Pairs of a split's images that are the same or different, where it has them in the place of classes. */
  pairs?: Partial<Record<'train' | 'test' | 'validation', ImagePairs>>;
  /** (M,) classes of the test images. */
  testLabels: Int32Array;
  /** (V,) classes of the images on which the best epoch is chosen, if some were set aside. */
  validationLabels?: Int32Array;
  /** (G,) classes, numbered as the test images', of the gallery in which these are looked for, if there is one. */
  galleryLabels?: Int32Array;
  /** Where in the gallery stands what the queries' searches leave out, their own files above all. Default: nowhere. */
  ownInGallery?: OwnInGallery;
  /** Where the queries' own files stand in the gallery, if `ownInGallery` says more than that. */
  sameInGallery?: OwnInGallery;
  /** What becomes of queries that can find nothing; default 'miss'. */
  withoutMatch?: 'miss' | 'left out';
  /** Files of the training images, to name those of a batch that goes wrong. */
  trainPaths?: readonly string[];
  /**
   * What has to be there before the first augmented batch, once the weights are those to train with.
   *
   * @throws Interrupted where the training is to end
   */
  prepare?(): Promise<void>;
  /** Lets go of what prepare() opened. */
  close?(): Promise<void>;
  /**
   * Augmented training images, batch by batch in the order asked for, without the first `done` batches; what is drawn
   * for the others is the same whether these were read or left out.
   *
   * @param side of the images in pixels; default: what evaluation sees. Only where images have one
   */
  augmented(
    batches: readonly Int32Array[],
    random: Random,
    done: number,
    side?: number,
  ): AsyncIterable<Batch<BatchImages>>;
  /** The images of a split in order, not augmented: all, or those of a part. */
  plain(
    split: 'train' | 'test' | 'validation' | 'gallery',
    part?: { from: number; count: number },
  ): AsyncIterable<Batch>;
}
