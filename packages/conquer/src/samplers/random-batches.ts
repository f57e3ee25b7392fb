import type { Random } from '../random.js';
import {
  type BatchSampler,
  replicate,
  Subset,
  type SubsetOptions,
  sizeWithoutReplicas,
} from './batch-sampler.js';
import { Deck } from './deck.js';

export interface RandomBatchOptions extends SubsetOptions {
  batchSize: number;
  /** How often the batch is repeated within itself, each time with other augmentations; default 1. */
  replicas?: number | undefined;
}

/**
 * Batches of images in random order, whatever their classes, but of two classes at least: a batch that came out
 * with one class gets one of its images replaced by a random image of another. Every batch is full; a subset smaller
 * than a batch fills it with repetitions. All images come up before one comes again.
 *
 * Epoch: one batch for every `batchSize / replicas` images of the subset, at least one.
 * @throws UserError if the subset has fewer than two classes, or the sizes do not fit
 */
export class RandomBatchSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly size: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ batchSize, replicas = 1, ...subset }: RandomBatchOptions) {
    this.size = sizeWithoutReplicas(batchSize, replicas);
    this.replicas = replicas;
    this.subset = new Subset(subset);
    this.random = subset.random;
    this.length = Math.max(1, Math.floor(this.subset.size / this.size));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const { classes } = this.subset;
    const classOf = new Map(
      classes.flatMap((positions, index) => [...positions].map((position) => [position, index])),
    );
    const deck = new Deck(Int32Array.from(classOf.keys()), this.random);
    for (let batch = 0; batch < this.length; batch++) {
      const images = [...deck.deal(this.size)];
      const only = classOf.get(images[0]!);
      if (images.every((position) => classOf.get(position) === only)) {
        const others = [...classOf.keys()].filter((position) => classOf.get(position) !== only);
        images[this.random.int(images.length)] = others[this.random.int(others.length)]!;
      }
      yield replicate(images, this.replicas);
    }
  }
}
