import { ImageFiles, type ImageSet, ReducedImages } from '@conquer/image';
import type { BadImages } from '../data/bad-images.js';
import { CropSource } from '../data/crop-source.js';
import { Loader } from '../data/loader.js';
import { Substitutes } from '../data/substitutes.js';
import type { TrainingData } from '../data/training-data.js';
import { type EvaluationViewOptions, evaluationView, trainingView, type View } from '../data/view.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import { ownInGallery } from '../datasets/file-identity.js';
import { Random } from '../random.js';
import { InOrderBatches } from '../samplers/in-order.js';

export interface ImageDataOptions extends EvaluationViewOptions {
  /** What a training image goes through; by default a random crop and flip, see `trainingView`. */
  augmented?: View;
  /** The images of a split, reduced as `reduction` says; by default its files, decoded each time. */
  imagesOf?: (split: Split) => Promise<ImageSet>;
  /** Images known to be bad: others take their places, and those of images that go bad later. Default: none may be. */
  bad?: BadImages | undefined;
  /** Images of an evaluation batch; default 256. */
  evaluationBatch?: number;
  /** Default 'cpu'. */
  device?: string | undefined;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Batches that are read ahead; default 3. */
  prefetch?: number | undefined;
}

/**
 * The images of a data set as the training loop wants them: training images augmented, all others in order.
 * Its `plain` throws a RangeError for a split that the data set does not have.
 *
 * @throws ImageError naming the file, while it is iterated, for an image that cannot be read; with `bad` only
 *   UserError where there are too many
 */
export async function imageData(dataset: Dataset, options: ImageDataOptions): Promise<TrainingData> {
  const { augmented = trainingView(options), prefetch = 3 } = options;
  const plain = evaluationView(options);
  const { reduction, evaluationBatch = 256 } = options;
  const filesOf = async ({ paths }: Split) =>
    reduction ? new ReducedImages(paths, reduction) : new ImageFiles(paths);
  const { imagesOf = filesOf } = options;
  const { device, threads, bad } = options;
  const { train, test, validation, gallery } = dataset;
  const read = async (split: Split) => ({ split, images: await imagesOf(split) });
  const splits = {
    train: await read(train),
    test: await read(test),
    validation: validation && (await read(validation)),
    gallery: gallery && (await read(gallery)),
  };
  const substitutes = ({ paths, labels }: Split) => bad && new Substitutes(paths, labels, bad);
  const source = (images: ImageSet, { cropping }: View) => new CropSource({ images, cropping, threads });
  return {
    trainLabels: train.labels,
    testLabels: test.labels,
    ...(validation && { validationLabels: validation.labels }),
    ...(gallery && {
      galleryLabels: gallery.labels,
      ownInGallery: await ownInGallery(test.paths, gallery.paths),
    }),
    trainPaths: train.paths,
    augmented(batches, random, done) {
      // The loader draws a stream for each batch it reads.
      for (let batch = 0; batch < done; batch++) random.fork();
      return new Loader({
        source: source(splits.train.images, augmented),
        labels: train.labels,
        substitutes: substitutes(train),
        batches: batches.slice(done),
        transform: augmented.transform,
        random,
        device,
        prefetch,
      });
    },
    plain(name) {
      const wanted = splits[name];
      if (!wanted) throw new RangeError(`${dataset.name} has no ${name}`);
      const { split, images } = wanted;
      return new Loader({
        source: source(images, plain),
        labels: split.labels,
        substitutes: substitutes(split),
        batches: new InOrderBatches(split.paths.length, evaluationBatch),
        transform: plain.transform,
        random: new Random(0),
        device,
        prefetch,
      });
    },
  };
}
