import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ImageFiles, type ImageSet, packImages, type Reduction } from '@conquer/image';
import { UserError } from '@conquer/run';
import { cacheError, cacheFolder } from '../cache-folder.js';
import { AffineCrop } from '../data/affine-crop.js';
import { type AugmentationFamily, augmentationFamily } from '../data/augmentation-families.js';
import type { BadImages } from '../data/bad-images.js';
import { ColorMix } from '../data/color-mix.js';
import { Compose } from '../data/compose.js';
import { Normalize } from '../data/normalize.js';
import { preprocessingOf } from '../data/preprocessing.js';
import { RandomResizedCrop } from '../data/random-resized-crop.js';
import type { TrainingData } from '../data/training-data.js';
import { evaluationView, trainingView, type View } from '../data/view.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import type { InputFormat } from '../models/backbone.js';
import { imageData } from '../train/image-data.js';
import type { TrainSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';

export interface OpenImagesOptions {
  /** Images in whose places others are read. */
  bad?: BadImages | null;
  /**
   * Whether decoded images are kept on the disk; by default as the settings have it. What the network sees of an image
   * is the same in both cases, and the settings' alone.
   */
  cached?: boolean;
  signal?: AbortSignal;
}

/** The images of a data set as the settings want them: from files, or decoded once into a pack. */
export async function openImages(
  settings: TrainSettings,
  dataset: Dataset,
  input: InputFormat,
  out: Output,
  { bad, cached = settings.cache === 'yes', signal }: OpenImagesOptions = {},
): Promise<TrainingData> {
  const { augmentation, device, threads } = settings;
  const preprocessing = preprocessingOf(settings);
  const { size, resize, reduction } = preprocessing;
  if (resize < size)
    throw new UserError(`--resize ${resize} is smaller than --image-size ${size}: images are cut out of it`);

  const normalize = new Normalize(input);
  const view = { ...preprocessing, input };
  const cutOut = new RandomResizedCrop({ size });
  const family = (name: AugmentationFamily): View => ({
    cropping: cutOut,
    transform: new Compose([augmentationFamily(name, size), normalize]),
  });
  const augmented: View = {
    standard: trainingView(view),
    geom: family('geom'),
    'geom-color': family('geom-color'),
    'color-heavy': family('color-heavy'),
    icons: {
      cropping: iconGeometry(size, resize),
      transform: new Compose([new ColorMix({ contrast: 0.3, saturation: 0.3, mixing: 0.1 }), normalize]),
    },
    none: evaluationView(view),
  }[augmentation];

  const packOf = async ({ paths, name }: Split, reducing: Reduction): Promise<ImageSet> => {
    if (paths.length === 0) return new ImageFiles(paths);
    const key = createHash('sha256').update(paths.join('\n')).digest('hex').slice(0, 12);
    const shape = reducing.square ? resize : `short-${resize}`;
    const file = join(cacheFolder(), 'packs', `${dataset.name}-${name}-${shape}-${key}.pack`);
    try {
      return await packImages(paths, {
        ...reducing,
        file,
        threads: threads ?? undefined,
        signal,
        onBad: bad ? (error) => bad.add(error) : undefined,
        onProgress: progressBar(out, `decoding the ${name} images, once`),
      });
    } catch (error) {
      throw cacheError('decoded images', file, error);
    }
  };
  const packed = cached ? reduction : null;
  return imageData(dataset, {
    ...view,
    augmented,
    ...(packed && { imagesOf: (split: Split) => packOf(split, packed) }),
    device,
    bad: bad ?? undefined,
    threads: threads ?? undefined,
    prefetch: packed ? 2 : 3,
  });
}

/** Drawings are whole in the picture and face one way: turn, zoom and shift them a little, do not cut or mirror. */
function iconGeometry(size: number, from: number): AffineCrop {
  return new AffineCrop({ size, from, rotation: 8, scale: [0.8, 1.2], stretch: 0.1, shift: 0.1, fill: 1 });
}
