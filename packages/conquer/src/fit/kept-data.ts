import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import type { Batch } from '../data/loader.js';
import type { TrainingData } from '../data/training-data.js';
import type { Random } from '../random.js';
import type { KeptFeatures } from './keep-features.js';

/** Rows of a batch where nothing is drawn. */
const PLAIN_BATCH = 4096;

/** Photos by their places among the kept features, and their classes, counted from 0. */
export interface LabelledPhotos {
  photos: Int32Array;
  labels: Int32Array;
  /** The category of each of these classes, where the data set says it: what some samplers draw by. */
  categories?: readonly string[] | undefined;
}

/** (B, F): each photo in a view that is drawn; belongs to the caller. */
export function drawnViews(
  { rows, photos: count, views }: KeptFeatures,
  photos: Int32Array,
  random: Random,
): Tensor {
  const places = photos.map((photo) => (views === 1 ? 0 : random.int(views)) * count + photo);
  return noGrad(() => scope(() => rows.indexSelect(0, tensor(places, { dtype: 'int64' }))));
}

/** Kept features in the place of images: what training on photos is given where the network in front is frozen. */
export class KeptData implements TrainingData {
  readonly trainLabels: Int32Array;
  readonly testLabels = new Int32Array(0);

  constructor(
    private readonly kept: KeptFeatures,
    private readonly train: LabelledPhotos,
    readonly trainPaths: readonly string[],
  ) {
    this.trainLabels = train.labels;
  }

  async *augmented(batches: readonly Int32Array[], random: Random, done: number): AsyncGenerator<Batch> {
    for (const [i, indices] of batches.entries()) {
      const stream = random.fork();
      if (i < done) continue;
      const photos = indices.map((place) => this.train.photos[place]!);
      const labels = indices.map((place) => this.train.labels[place]!);
      yield { images: drawnViews(this.kept, photos, stream).keep(), labels, indices };
    }
  }

  async *plain(
    split: 'train' | 'test' | 'validation' | 'gallery',
    { from, count }: { from: number; count: number } = { from: 0, count: this.train.photos.length },
  ): AsyncGenerator<Batch> {
    if (split !== 'train') throw new RangeError(`kept features have no ${split} split`);
    const { photos, labels } = this.train;
    for (let start = from; start < from + count; start += PLAIN_BATCH) {
      const end = Math.min(start + PLAIN_BATCH, from + count);
      const indices = Int32Array.from(photos.keys()).subarray(start, end);
      const rows = this.kept.plain(photos.subarray(start, end));
      yield { images: rows.keep(), labels: labels.subarray(start, end), indices };
    }
  }
}
