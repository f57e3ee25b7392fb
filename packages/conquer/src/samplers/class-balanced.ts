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
import { Deck } from './deck.js';

/** `batchSize / replicas` has to be a multiple of `samplesPerClass`, and at least twice as many. */
export interface ClassBalancedOptions extends SubsetOptions, z.input<typeof batchOptions> {}

/**
 * Batches of randomly chosen classes with `samplesPerClass` images of each, class by class.
 *
 * Every batch is full. A class deals all its images before one comes again; a class with fewer images than
 * are asked for repeats them. Where the subset has fewer classes than a batch has room for, all classes are
 * in every batch, some of them more than once.
 *
 * Epoch: one batch for every `batchSize / replicas` images of the subset, at least one.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class ClassBalancedSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly groups: number;
  private readonly samplesPerClass: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, ...given }: ClassBalancedOptions) {
    const { batchSize, samplesPerClass, replicas } = withDefaults(
      'ClassBalancedSampler',
      batchOptions,
      given,
    );
    const size = sizeWithoutReplicas(batchSize, replicas);
    this.groups = classesPerBatch(size, samplesPerClass);
    this.samplesPerClass = samplesPerClass;
    this.replicas = replicas;
    this.subset = new Subset({ labels, indices });
    this.random = random;
    this.length = Math.max(1, Math.floor(this.subset.size / size));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const decks = this.subset.classes.map((positions) => new Deck(positions, this.random));
    for (let batch = 0; batch < this.length; batch++) {
      const images: number[] = [];
      for (const [index, groups] of this.chooseClasses()) {
        images.push(...decks[index]!.deal(groups * this.samplesPerClass));
      }
      yield replicate(images, this.replicas);
    }
  }

  /** The classes of a batch, and how many groups of images each gives. */
  private chooseClasses(): Map<number, number> {
    const count = this.subset.classes.length;
    const everyClass = Math.floor(this.groups / count);
    const chosen = this.random.choice(count, this.groups % count);
    const groups = new Map<number, number>();
    if (everyClass > 0) for (const index of this.random.permutation(count)) groups.set(index, everyClass);
    for (const index of chosen) groups.set(index, everyClass + 1);
    return groups;
  }
}

export const classBalanced = part({
  name: 'class-balanced',
  help: 'random classes, the same number of images of each',
  options: z.strictObject({}),
  build: (_, context: SamplerContext) => new ClassBalancedSampler(sized(context)),
});
