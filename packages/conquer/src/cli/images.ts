import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ImageError, ImageFiles, type ImageSet, packImages } from '@conquer/image';
import { cacheFolder } from '../cache-folder.js';
import type { Dataset, Split } from '../datasets/dataset.js';
import { UserError } from '../error.js';
import type { InputFormat } from '../models/backbone.js';
import { imageData } from '../train/image-data.js';
import type { TrainingData } from '../train/loop.js';
import { AffineCrop } from '../transforms/affine-crop.js';
import { type AugmentationFamily, augmentationFamily } from '../transforms/augmentation-families.js';
import type { BadImages } from '../transforms/bad-images.js';
import { ColorMix } from '../transforms/color-mix.js';
import { Compose } from '../transforms/compose.js';
import { Normalize } from '../transforms/normalize.js';
import { RandomResizedCrop } from '../transforms/random-resized-crop.js';
import { evaluationView, trainingView, type View } from '../transforms/view.js';
import type { TrainSettings } from './options.js';
import { type Output, progressBar } from './terminal.js';

/**
 * The images of a data set as the settings want them: from files, or decoded once into a pack.
 *
 * @param bad images in whose places others are read
 */
export async function openImages(
  settings: TrainSettings,
  dataset: Dataset,
  input: InputFormat,
  out: Output,
  { bad, signal }: { bad?: BadImages | null; signal?: AbortSignal } = {},
): Promise<TrainingData> {
  const { resize, augmentation, device, threads } = settings;
  const size = settings['image-size'];
  const packed = settings.cache === 'yes';
  if (resize < size)
    throw new UserError(`--resize ${resize} is smaller than --image-size ${size}: images are cut out of it`);
  // Icons are used whole, and brought to size from the cached ones.
  const square = packed && (augmentation === 'icons' || augmentation === 'none');

  const normalize = new Normalize(input);
  const view = { size, resize, input };
  const plain = evaluationView(view, square);
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
    none: plain,
  }[augmentation];

  const imagesOf = async (split: Split): Promise<ImageSet> => {
    if (!packed) return new ImageFiles(split.paths);
    // What is in a bad image's place is never read.
    const good = split.paths.find((path) => !bad?.has(path));
    const paths = split.paths.map((path) => (bad?.has(path) ? (good ?? path) : path));
    const key = createHash('sha256').update(paths.join('\n')).digest('hex').slice(0, 12);
    const shape = square ? resize : `short-${resize}`;
    const packing = packImages(paths, {
      size: resize,
      square,
      file: join(cacheFolder(), 'packs', `${dataset.name}-${split.name}-${shape}-${key}.pack`),
      threads: threads ?? undefined,
      signal,
      onProgress: progressBar(out, `decoding the ${split.name} images, once`),
    });
    return await packing.catch((error: unknown) => {
      if (!bad || !(error instanceof ImageError) || bad.has(error.path)) throw error;
      bad.add(error);
      return imagesOf(split);
    });
  };
  const prefetch = packed ? 2 : 3;
  const decoding = { threads: threads ?? undefined, prefetch };
  return imageData(dataset, {
    ...view,
    augmented,
    plain,
    imagesOf,
    device,
    bad: bad ?? undefined,
    ...decoding,
  });
}

/** Drawings are whole in the picture and face one way: turn, zoom and shift them a little, do not cut or mirror. */
function iconGeometry(size: number, from: number): AffineCrop {
  return new AffineCrop({ size, from, rotation: 8, scale: [0.8, 1.2], stretch: 0.1, shift: 0.1, fill: 1 });
}
