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

/**
 * What to do about a class with fewer images than are wanted of it:
 * - `duplicate`: repeat its images;
 * - `sample_other`: take its images once, and fill the batch with other images of the subset;
 * - `smaller_batch`: take its images once; the batch is smaller.
 */
export const smallClassActions = ['duplicate', 'sample_other', 'smaller_batch'] as const;

export type SmallClassAction = (typeof smallClassActions)[number];

const options = z.strictObject({
  smallClassAction: z
    .enum(smallClassActions)
    .default('sample_other')
    .describe('what a class with fewer images than are wanted of it does'),
});
const allOptions = batchOptions.extend(options.shape);

/** `batchSize / replicas` has to be a multiple of `samplesPerClass`, and at least twice as many. */
export interface AdaptiveOptions extends SubsetOptions, z.input<typeof allOptions> {}

/**
 * Batches of randomly chosen classes with `samplesPerClass` images of each, as dcesml's adaptive
 * class-balanced sampler. Where the subset has fewer classes than a batch has room for, all of them are in
 * every batch and give more images, as evenly as possible.
 *
 * A subset smaller than a batch fills it with repetitions (`duplicate`, `sample_other`) or makes it smaller
 * (`smaller_batch`).
 *
 * Epoch: as many batches as draw about the subset's number of images, at least one. With `smaller_batch` the
 * expected size of a batch counts.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class AdaptiveClassBalancedSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly size: number;
  private readonly classes: number;
  private readonly samples: number;
  private readonly larger: number;
  private readonly action: SmallClassAction;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, ...given }: AdaptiveOptions) {
    const { batchSize, samplesPerClass, smallClassAction, replicas } = withDefaults(
      'AdaptiveClassBalancedSampler',
      allOptions,
      given,
    );
    this.size = sizeWithoutReplicas(batchSize, replicas);
    const room = classesPerBatch(this.size, samplesPerClass);
    this.subset = new Subset({ labels, indices });
    this.classes = Math.min(room, this.subset.classes.length);
    this.samples = Math.floor(this.size / this.classes);
    this.larger = this.size - this.samples * this.classes;
    this.action = smallClassAction;
    this.replicas = replicas;
    this.random = random;
    this.length = Math.max(1, Math.floor(this.subset.size / this.expectedSize()));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const decks = this.subset.classes.map((positions) => new Deck(positions, this.random));
    const others = new Deck(joined(this.subset.classes), this.random);
    for (let batch = 0; batch < this.length; batch++) {
      const images: number[] = [];
      // The first `larger` of the chosen classes give one image more.
      for (const [place, index] of this.random.choice(decks.length, this.classes).entries()) {
        const wanted = this.samples + (place < this.larger ? 1 : 0);
        images.push(...decks[index]!.deal(this.available(index, wanted)));
      }
      if (this.action === 'sample_other') this.fillWithOthers(images, others);
      yield replicate(images, this.replicas);
    }
  }

  private available(index: number, wanted: number): number {
    return this.action === 'duplicate' ? wanted : Math.min(wanted, this.subset.classes[index]!.length);
  }

  /** Every class is equally likely to be chosen, and equally likely to be one of the larger ones. */
  private expectedSize(): number {
    if (this.action !== 'smaller_batch') return this.size;
    const sizes = this.subset.classes.map((_, index) => {
      const [few, many] = [this.available(index, this.samples), this.available(index, this.samples + 1)];
      return few + (this.larger / this.classes) * (many - few);
    });
    return (this.classes * sizes.reduce((sum, size) => sum + size, 0)) / sizes.length;
  }

  private fillWithOthers(images: number[], others: Deck): void {
    const taken = new Set(images);
    while (images.length < this.size && taken.size < this.subset.size) {
      const [other] = others.deal(1);
      if (taken.has(other!)) continue;
      taken.add(other!);
      images.push(other!);
    }
    // A subset smaller than the batch: all of it is in the batch, and then some of it again.
    images.push(...others.deal(this.size - images.length));
  }
}

function joined(classes: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(classes.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const positions of classes) {
    all.set(positions, at);
    at += positions.length;
  }
  return all;
}

export const adaptive = part({
  name: 'adaptive',
  help: 'random classes, as many images of each as the batch has room for',
  options,
  build: (options, context: SamplerContext) =>
    new AdaptiveClassBalancedSampler({ ...sized(context), ...options }),
});
