import { type Preprocessing, UserError } from '@conquer/run';
import { augmentations } from '../data/augmentations.js';
import type { BadImages } from '../data/bad-images.js';
import { imageData } from '../data/image-data.js';
import { preprocessingOf } from '../data/preprocessing.js';
import type { TrainingData } from '../data/training-data.js';
import type { Dataset } from '../datasets/dataset.js';
import type { InputFormat } from '../models/backbone.js';
import { buildNamed } from '../named-part.js';
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
  const { augmentation: name, device, threads, resize, 'image-size': size, cache } = settings;
  if (resize < size)
    throw new UserError(`--resize ${resize} is smaller than --image-size ${size}: images are cut out of it`);
  const { whole } = augmentations.find((one) => one.name === name)!;
  const preprocessing: Preprocessing = preprocessingOf({ size, resize, whole, cache: cache === 'yes' });
  const view = { ...preprocessing, input };
  const bars: Record<string, ReturnType<typeof progressBar>> = {};
  return imageData(dataset, {
    ...view,
    augmented: buildNamed(augmentations, { name }, view, 'augmentation'),
    cached,
    onProgress: (split, progress) => {
      bars[split] ??= progressBar(out, `decoding the ${split} images, once`);
      bars[split](progress);
    },
    signal,
    device,
    bad,
    threads: threads ?? undefined,
  });
}
