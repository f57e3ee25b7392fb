import { z } from 'zod';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import { BatchInMaking } from './batch-in-making.js';
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
import { groupsOf, numGroups } from './class-groups.js';
import { dealApart, roundsFor } from './deal-apart.js';

/** `batchSize / replicas` has to be a multiple of `samplesPerClass`, and at least twice as many. */
export interface PkOptions extends SubsetOptions, z.input<typeof batchOptions> {}

/**
 * Batches of P random classes with K = `samplesPerClass` images of each (Hermans, Beyer, Leibe, "In defense of the triplet
 * loss for person re-identification", 2017), in which every image of the subset comes up at least once an epoch.
 *
 * No image is in a batch twice: a class with fewer than K images gives all it has, and the room that is left is filled
 * with images of other classes. A subset smaller than a batch makes batches of all its images.
 *
 * Epoch: so many batches that each class can give all its images, K a batch: images / (P K) where classes are alike, and
 * the largest class's images / K where it is larger than the others together allow.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class PkSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly size: number;
  private readonly samplesPerClass: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, ...given }: PkOptions) {
    const { batchSize, samplesPerClass, replicas } = withDefaults('PkSampler', batchOptions, given);
    this.size = sizeWithoutReplicas(batchSize, replicas);
    this.samplesPerClass = samplesPerClass;
    this.replicas = replicas;
    this.subset = new Subset({ labels, indices });
    this.random = random;
    const groups = this.subset.classes.map((images) => numGroups(images, samplesPerClass));
    this.length = roundsFor(groups, classesPerBatch(this.size, samplesPerClass));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const { random, samplesPerClass, subset } = this;
    const classes = Array.from(random.permutation(subset.classes.length), (index) => subset.classes[index]!);
    const groups = classes.map((images) => groupsOf(images, samplesPerClass, random));
    const rounds = dealApart(groups, this.length);
    for (const round of random.permutation(rounds.length)) {
      const batch = new BatchInMaking(this.size, random);
      for (const group of rounds[round]!) batch.take(group);
      batch.addClasses(subset.classes, samplesPerClass);
      batch.addImages(subset.classes);
      yield replicate(batch.images, this.replicas);
    }
  }
}

export const pk = part({
  name: 'pk',
  help: 'P classes × K images, every image at least once an epoch (Hermans et al. 2017)',
  options: z.strictObject({}),
  build: (_, context: SamplerContext) => new PkSampler(sized(context)),
});
