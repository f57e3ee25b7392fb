import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import {
  type BatchSampler,
  batchOptions,
  replicate,
  type SamplerContext,
  Subset,
  type SubsetOptions,
  sized,
  sizeWithoutReplicas,
} from './batch-sampler.js';
import { Deck } from './deck.js';

const options = z.strictObject({
  minClasses: z
    .int()
    .min(2)
    .default(2)
    .describe('least number of classes in a batch, or all of a subset that has fewer'),
});
const allOptions = batchOptions.omit({ samplesPerClass: true }).extend(options.shape);

/** `minClasses` is at most `batchSize / replicas`. */
export interface RandomBatchOptions extends SubsetOptions, z.input<typeof allOptions> {}

/**
 * Batches of images in random order, whatever their classes, but of two classes at least (or `minClasses`):
 * in a batch that came out with fewer, images of its larger classes are replaced by random images of others.
 * Every batch is full; a subset smaller than a batch fills it with repetitions. All images come up before one
 * comes again.
 *
 * Epoch: one batch for every `batchSize / replicas` images of the subset, at least one.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class RandomBatchSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly size: number;
  private readonly minClasses: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, ...given }: RandomBatchOptions) {
    const { batchSize, minClasses, replicas } = withDefaults('RandomBatchSampler', allOptions, given);
    this.size = sizeWithoutReplicas(batchSize, replicas);
    if (minClasses > this.size) {
      const problem = `expected at most ${this.size}, as many as a batch has images, got ${minClasses}`;
      throw new OptionError('minClasses', problem, 'RandomBatchSampler');
    }
    this.replicas = replicas;
    this.subset = new Subset({ labels, indices });
    this.minClasses = Math.min(minClasses, this.subset.classes.length);
    this.random = random;
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
      this.addClasses(images, classOf);
      yield replicate(images, this.replicas);
    }
  }

  private addClasses(images: number[], classOf: Map<number, number>): void {
    const counts = new Map<number, number>();
    for (const position of images) {
      const index = classOf.get(position) as number;
      counts.set(index, (counts.get(index) ?? 0) + 1);
    }
    while (counts.size < this.minClasses) {
      const missing = Array.from(this.subset.classes.keys()).filter((index) => !counts.has(index));
      const added = missing[this.random.int(missing.length)] as number;
      const largest = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
      const places = Array.from(images.keys()).filter((i) => classOf.get(images[i] as number) === largest);
      const positions = this.subset.classes[added] as Int32Array;
      images[places[this.random.int(places.length)] as number] = positions[
        this.random.int(positions.length)
      ] as number;
      counts.set(largest, (counts.get(largest) as number) - 1);
      counts.set(added, 1);
    }
  }
}

export const random = part({
  name: 'random',
  help: 'images in random order, whatever their classes',
  options,
  build: (options, context: SamplerContext) => {
    const { samplesPerClass, ...others } = sized(context);
    return new RandomBatchSampler({ ...others, ...options });
  },
});
