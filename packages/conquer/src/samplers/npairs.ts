import type { Random } from '../random.js';
import {
  type BatchSampler,
  classesPerBatch,
  replicate,
  Subset,
  type SubsetOptions,
  sizeWithoutReplicas,
} from './batch-sampler.js';

export interface NPairsOptions extends SubsetOptions {
  /** Images of a batch, its replicas included. */
  batchSize: number;
  /**
   * Images of each class in a batch; default 2, one pair. `batchSize / replicas` must be a multiple, and at
   * least twice as many.
   */
  samplesPerClass?: number | undefined;
  /** How often the batch is repeated within itself, each time with other augmentations; default 1. */
  replicas?: number | undefined;
}

/**
 * Batches of N random classes with a pair of images of each (Sohn, "Improved deep metric learning with
 * multi-class N-pair loss objective", NIPS 2016), each batch drawn on its own: nothing sees to it that all
 * images come up.
 *
 * The classes of a batch are distinct, and so are the images of a class, where there are enough; else they
 * repeat.
 *
 * Epoch: as many batches as it takes to draw the subset's number of images, the last one full too.
 * @throws UserError if the subset has fewer than two classes, or the sizes do not fit; RangeError if there
 *   are not as many labels as indices
 */
export class NPairsSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly numClasses: number;
  private readonly samplesPerClass: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ batchSize, samplesPerClass = 2, replicas = 1, ...subset }: NPairsOptions) {
    const size = sizeWithoutReplicas(batchSize, replicas);
    this.numClasses = classesPerBatch(size, samplesPerClass);
    this.samplesPerClass = samplesPerClass;
    this.replicas = replicas;
    this.subset = new Subset(subset);
    this.random = subset.random;
    this.length = Math.ceil(this.subset.size / size);
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const { classes } = this.subset;
    for (let batch = 0; batch < this.length; batch++) {
      const images: number[] = [];
      for (const [index, count] of this.chooseClasses()) {
        const positions = classes[index] as Int32Array;
        const replace = positions.length < count;
        for (const pick of this.random.choice(positions.length, count, { replace })) {
          images.push(positions[pick] as number);
        }
      }
      yield replicate(images, this.replicas);
    }
  }

  /** The classes of a batch and the number of images each gives; more than a pair where there are too few classes. */
  private chooseClasses(): Map<number, number> {
    const available = this.subset.classes.length;
    const counts = new Map<number, number>();
    for (let left = this.numClasses; left > 0; left -= available) {
      for (const index of this.random.choice(available, Math.min(left, available))) {
        counts.set(index, (counts.get(index) ?? 0) + this.samplesPerClass);
      }
    }
    return counts;
  }
}
