import { z } from 'zod';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import {
  type BatchSampler,
  batchOptions,
  classesPerBatch,
  replicate,
  type SamplerContext,
  Subset,
  type SubsetOptions,
  sized,
  sizeWithoutReplicas,
} from './batch-sampler.js';

// Of any sampler, but for what the name says: a pair of each class.
const allOptions = batchOptions.extend({
  samplesPerClass: batchOptions.shape.samplesPerClass.unwrap().default(2),
});

/** `batchSize / replicas` has to be a multiple of `samplesPerClass`, by default 2, and at least twice as many. */
export interface NPairsOptions extends SubsetOptions, z.input<typeof allOptions> {}

/**
 * Batches of N random classes with a pair of images of each (Sohn, "Improved deep metric learning with
 * multi-class N-pair loss objective", NIPS 2016), each batch drawn on its own: nothing sees to it that all
 * images come up.
 *
 * The classes of a batch are distinct, and so are the images of a class, where there are enough; else they
 * repeat.
 *
 * Epoch: as many batches as it takes to draw the subset's number of images, the last one full too.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class NPairsSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly numClasses: number;
  private readonly samplesPerClass: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, ...given }: NPairsOptions) {
    const { batchSize, samplesPerClass, replicas } = withDefaults('NPairsSampler', allOptions, given);
    const size = sizeWithoutReplicas(batchSize, replicas);
    this.numClasses = classesPerBatch(size, samplesPerClass);
    this.samplesPerClass = samplesPerClass;
    this.replicas = replicas;
    this.subset = new Subset({ labels, indices });
    this.random = random;
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

export const npairs = part({
  name: 'npairs',
  help: 'pairs of random classes, each batch drawn on its own (Sohn 2016)',
  options: z.strictObject({}),
  build: (_, context: SamplerContext) => new NPairsSampler(sized(context)),
});
