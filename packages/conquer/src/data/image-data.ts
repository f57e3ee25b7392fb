import type { ImageSet, PackProgress } from '@conquer-dml/image';
import type { Preprocessing } from '@conquer-dml/run';
import type { ImagePairs } from '../image-pairs.js';
import type { OwnInGallery } from '../own-in-gallery.js';
import type { BadImages } from './bad-images.js';
import { CropSource } from './crop-source.js';
import { ownInGallery } from './file-identity.js';
import { Loader } from './loader.js';
import { seenByOwnCamera } from './own-camera.js';
import { packedImages } from './packed-images.js';
import { imagesAsSeen, plainBatches } from './plain-batches.js';
import { Substitutes } from './substitutes.js';
import type { TrainingData } from './training-data.js';
import { trainingView, type View } from './view.js';

/** Images and their labels, such as a `Split` of a data set. */
export interface LabelledImages {
  /** What they are called in reports. */
  name: string;
  /** Absolute paths of the N images. */
  paths: readonly string[];
  /** (N,) */
  labels: Int32Array;
  /** All labels of each image, where it may have several. */
  labelSets?: readonly Int32Array[] | undefined;
  /** Pairs of them, where there are no classes. */
  pairs?: ImagePairs | undefined;
  /** (N,) which camera took each image, where that counts: see `ownCamera`. */
  cameras?: Int32Array;
}

/** What is read of a `Dataset`. */
export interface ImageSplits {
  name: string;
  train: LabelledImages;
  test: LabelledImages;
  validation?: LabelledImages | undefined;
  gallery?: LabelledImages | undefined;
}

/** What the searches of queries leave out of a gallery: their own files, and by the camera-aware protocol what their camera saw. */
function leftOutIn(
  test: LabelledImages,
  gallery: LabelledImages,
  same: OwnInGallery,
): Pick<TrainingData, 'ownInGallery' | 'sameInGallery' | 'withoutMatch'> {
  if (!test.cameras || !gallery.cameras) return { ownInGallery: same };
  const seen = seenByOwnCamera(
    { labels: test.labels, cameras: test.cameras },
    { labels: gallery.labels, cameras: gallery.cameras },
  );
  const own = new Map(
    [...test.labels.keys()].flatMap((query) => {
      const left = [...new Set([...(seen.get(query) ?? []), ...(same.get(query) ?? [])])];
      return left.length > 0 ? [[query, left] as const] : [];
    }),
  );
  return { ownInGallery: own, sameInGallery: same, withoutMatch: 'left out' };
}

export interface ImageDataOptions {
  /** What the model is given of an image that nothing is drawn for: `model.view`. */
  view: Preprocessing;
  /**
   * What a training image goes through, or makes that of what the model is given, for images that are smaller at times; by
   * default a random crop and flip, see `trainingView`.
   */
  augmented?: View | ((seen: Preprocessing) => View) | undefined;
  /**
   * Whether images are decoded once and kept on the disk, where the view has a `reduction`; default false: they are decoded
   * each time. What the network sees is the same.
   */
  cached?: boolean | undefined;
  /** Told of a split's images that are decoded to be kept. */
  onProgress?: ((split: string, progress: PackProgress) => void) | undefined;
  /** Ends the decoding of images that are to be kept. */
  signal?: AbortSignal | undefined;
  /** Images known to be bad: others take their places, and those of images that go bad later. Default: none may be. */
  bad?: BadImages | null | undefined;
  /** Images of a batch where nothing is drawn; default 64. */
  evaluationBatch?: number;
  /** Default 'cpu'. */
  device?: string | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Images of a training batch that the network takes at a time: the others stay bytes. Default, or null: all. */
  chunk?: number | null | undefined;
  /** Batches that are read ahead; default 3, of images that are kept 2, of batches in chunks 1. */
  prefetch?: number | undefined;
}

/**
 * The images of a data set as the training loop wants them: training images augmented, all others in order.
 * Its `plain` throws a RangeError for a split that the data set does not have.
 *
 * @throws ImageError naming the file, while it is iterated, for an image that cannot be read; with `bad` only
 *   UserError where there are too many
 */
export async function imageData(dataset: ImageSplits, options: ImageDataOptions): Promise<TrainingData> {
  const { view, device, threads, signal, onProgress, evaluationBatch } = options;
  const { augmented = trainingView, chunk = null } = options;
  const whole = typeof augmented === 'function' ? augmented(view) : augmented;
  const viewOf = (side: number): View => {
    if (side === view.size) return whole;
    if (typeof augmented !== 'function')
      throw new RangeError(
        `expected images of ${view.size} pixels, as the view of one's own has, got ${side}`,
      );
    return augmented({ ...view, size: side, resize: Math.round((view.resize * side) / view.size) });
  };
  const bad = options.bad ?? undefined;
  const packed = options.cached === true ? view.reduction : null;
  const { prefetch = packed ? 2 : 3 } = options;
  // The largest batches there are, and the step has time for one.
  const prefetchTraining = options.prefetch ?? (chunk === null ? prefetch : 1);
  const imagesOf = async ({ name, paths }: LabelledImages): Promise<ImageSet> => {
    if (packed) {
      return packedImages(`${dataset.name}-${name}`, paths, packed, {
        bad,
        threads,
        signal,
        onProgress: onProgress && ((progress) => onProgress(name, progress)),
      });
    }
    return imagesAsSeen(paths, view);
  };
  const { train, test, validation, gallery } = dataset;
  const read = async (split: LabelledImages) => ({ split, images: await imagesOf(split) });
  const splits = {
    train: await read(train),
    test: await read(test),
    validation: validation && (await read(validation)),
    gallery: gallery && (await read(gallery)),
  };
  const substitutes = ({ paths, labels }: LabelledImages) => bad && new Substitutes(paths, labels, bad);
  const setsOf = Object.entries({ train, test, validation, gallery }).flatMap(([name, split]) =>
    split?.labelSets ? [[name, split.labelSets] as const] : [],
  );
  const pairsOf = Object.entries({ train, test, validation }).flatMap(([name, split]) =>
    split?.pairs ? [[name, split.pairs] as const] : [],
  );
  return {
    trainLabels: train.labels,
    ...(setsOf.length > 0 && { labelSets: Object.fromEntries(setsOf) }),
    ...(pairsOf.length > 0 && { pairs: Object.fromEntries(pairsOf) }),
    testLabels: test.labels,
    ...(validation && { validationLabels: validation.labels }),
    ...(gallery && {
      galleryLabels: gallery.labels,
      ...leftOutIn(test, gallery, await ownInGallery(test.paths, gallery.paths)),
    }),
    trainPaths: train.paths,
    augmented(batches, random, done, side = view.size) {
      const { cropping, transform } = viewOf(side);
      // The loader draws a stream for each batch it reads.
      for (let batch = 0; batch < done; batch++) random.fork();
      const loader = new Loader({
        source: new CropSource({ images: splits.train.images, cropping, threads }),
        labels: train.labels,
        substitutes: substitutes(train),
        batches: batches.slice(done),
        transform,
        random,
        device,
        prefetch: prefetchTraining,
      });
      return chunk === null ? loader : loader.inChunks(chunk);
    },
    plain(name, part) {
      const wanted = splits[name];
      if (!wanted) throw new RangeError(`${dataset.name} has no ${name}`);
      const { split, images } = wanted;
      const { labels } = split;
      return plainBatches(images, view, {
        labels,
        substitutes: substitutes(split),
        batchSize: evaluationBatch,
        part,
        threads,
        device,
        prefetch,
      });
    },
  };
}
