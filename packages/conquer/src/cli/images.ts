import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ImageFiles, type ImageSet, packImages } from '@conquer/image';
import { cacheFolder } from '../cache-folder.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import { UserError } from '../error.js';
import type { InputFormat } from '../models/backbone.js';
import { Random } from '../random.js';
import { InOrderBatches } from '../samplers/in-order.js';
import type { TrainingData } from '../train/loop.js';
import { Affine } from '../transforms/affine.js';
import { type AugmentationFamily, augmentationFamily } from '../transforms/augmentation-families.js';
import type { BatchTransform } from '../transforms/batch-transform.js';
import { CenterCrop } from '../transforms/center-crop.js';
import { ColorMix } from '../transforms/color-mix.js';
import { Compose } from '../transforms/compose.js';
import { CropSource } from '../transforms/crop-source.js';
import type { Cropping } from '../transforms/cropping.js';
import type { ImageSource } from '../transforms/image-source.js';
import { Loader } from '../transforms/loader.js';
import { Normalize } from '../transforms/normalize.js';
import { RandomResizedCrop } from '../transforms/random-resized-crop.js';
import type { TrainSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';

/** Images of an evaluation batch. */
const EVALUATION_BATCH = 256;

/** A training and an evaluation view of images: what is read of each, and what is done to a batch of them. */
interface View {
  cropping: Cropping;
  transform: BatchTransform;
}

/** The images of a data set as the settings want them: from files, or decoded once into a pack. */
export async function openImages(
  settings: TrainSettings,
  dataset: Dataset,
  input: InputFormat,
  out: Output,
  signal?: AbortSignal,
): Promise<TrainingData> {
  const { resize, augmentation, device, threads } = settings;
  const size = settings['image-size'];
  const packed = settings.cache === 'yes';
  if (resize < size)
    throw new UserError(`--resize ${resize} is smaller than --image-size ${size}: images are cut out of it`);
  // Icons are used whole, and cut to size on the device.
  const square = packed && (augmentation === 'icons' || augmentation === 'none');

  const normalize = new Normalize(input);
  const resizeOnDevice = new Compose([new Affine({ size }), normalize]);
  const plain: View = square
    ? { cropping: new CenterCrop({ size: resize }), transform: resizeOnDevice }
    : { cropping: new CenterCrop({ size, resize }), transform: normalize };
  const cutOut = new RandomResizedCrop({ size });
  const family = (name: AugmentationFamily): View => ({
    cropping: cutOut,
    transform: new Compose([augmentationFamily(name, size), normalize]),
  });
  const augmented: View = {
    standard: { cropping: cutOut, transform: normalize },
    geom: family('geom'),
    'geom-color': family('geom-color'),
    'color-heavy': family('color-heavy'),
    icons: {
      cropping: new CenterCrop({ size: resize }),
      transform: new Compose([
        iconGeometry(size),
        new ColorMix({ contrast: 0.3, saturation: 0.3, mixing: 0.1 }),
        normalize,
      ]),
    },
    none: plain,
  }[augmentation];

  const sourcesOf = async (split: Split): Promise<(view: View) => ImageSource> => {
    const { paths } = split;
    let images: ImageSet = new ImageFiles(paths);
    if (packed) {
      const key = createHash('sha256').update(paths.join('\n')).digest('hex').slice(0, 12);
      const shape = square ? resize : `short-${resize}`;
      images = await packImages(paths, {
        size: resize,
        square,
        file: join(cacheFolder(), 'packs', `${dataset.name}-${split.name}-${shape}-${key}.pack`),
        threads: threads ?? undefined,
        signal,
        onProgress: progressBar(out, `decoding the ${split.name} images, once`),
      });
    }
    return ({ cropping }) => new CropSource({ images, cropping, threads: threads ?? undefined });
  };

  const { train, test, validation, gallery } = dataset;
  const trainSource = await sourcesOf(train);
  const splits = {
    train: { split: train, source: trainSource(plain) },
    test: { split: test, source: (await sourcesOf(test))(plain) },
    ...(validation && {
      validation: { split: validation, source: (await sourcesOf(validation))(plain) },
    }),
    ...(gallery && { gallery: { split: gallery, source: (await sourcesOf(gallery))(plain) } }),
  };
  const augmentedSource = trainSource(augmented);
  const prefetch = packed ? 1 : 3;
  return {
    trainLabels: train.labels,
    testLabels: test.labels,
    ...(validation && { validationLabels: validation.labels }),
    ...(gallery && { galleryLabels: gallery.labels }),
    trainPaths: train.paths,
    augmented(batches, random, done) {
      const { transform } = augmented;
      // The loader draws a stream for each batch it reads.
      for (let batch = 0; batch < done; batch++) random.fork();
      return new Loader({
        source: augmentedSource,
        labels: train.labels,
        batches: batches.slice(done),
        transform,
        random,
        device,
        prefetch,
      });
    },
    plain(name) {
      const images = splits[name];
      if (!images) throw new RangeError(`${dataset.name} has no ${name}`);
      const { split, source } = images;
      const batches = new InOrderBatches(split.paths.length, EVALUATION_BATCH);
      return new Loader({
        source,
        labels: split.labels,
        batches,
        transform: plain.transform,
        random: new Random(0),
        device,
        prefetch,
      });
    },
  };
}

/** Drawings are whole in the picture and face one way: turn, zoom and shift them a little, do not cut or mirror. */
function iconGeometry(size: number): Affine {
  return new Affine({ size, rotation: 8, scale: [0.8, 1.2], stretch: 0.1, shift: 0.1, fill: 1 });
}
