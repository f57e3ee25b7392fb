import { z } from 'zod';
import { OptionError } from '../option-error.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import { BatchInMaking } from './batch-in-making.js';
import {
  type BatchSampler,
  batchOptions,
  classesPerBatch,
  type Difficulty,
  replicate,
  type SamplerContext,
  Subset,
  type SubsetOptions,
  sized,
  sizeWithoutReplicas,
} from './batch-sampler.js';

const options = z.strictObject({
  hardness: z
    .number()
    .min(0)
    .max(100)
    .default(2)
    .describe('an image of one more in difficulty is drawn exp of this as often; 0: all alike'),
});
const allOptions = batchOptions.extend(options.shape);

/** Of an image that has not been seen yet: the largest there is, so that it comes up soon. */
const UNSEEN = 2;

/** `batchSize / replicas` has to be a multiple of `samplesPerClass`, and at least twice as many. */
export interface HardImagesOptions extends SubsetOptions, z.input<typeof allOptions> {
  difficulty: Difficulty;
}

/**
 * Batches of P classes with K = `samplesPerClass` images of each, drawn by how difficult images were when they last came up:
 * the chance of an image to be a batch's next is proportional to exp(hardness · difficulty), and so is that of the other
 * images of its class to come with it. Difficulty is the similarity to the nearest image of another class in the batch less
 * that to the nearest of its own, -2…2; above 0 the nearest neighbour is a wrong one.
 *
 * No image is in a batch twice; room that is left, where classes are small, is filled with images of others. A subset
 * smaller than a batch makes batches of all its images. Nothing sees to it that all images come up.
 *
 * Epoch: one batch for every `batchSize / replicas` images of the subset, at least one.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, or an option is unknown;
 *   RangeError if there are not as many labels as indices
 */
export class HardImageSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  private readonly size: number;
  private readonly numClasses: number;
  private readonly samplesPerClass: number;
  private readonly replicas: number;
  private readonly hardness: number;
  private readonly random: Random;
  private readonly difficulty: Difficulty;

  constructor({ labels, indices, random, difficulty, ...given }: HardImagesOptions) {
    const all = withDefaults('HardImageSampler', allOptions, given);
    this.size = sizeWithoutReplicas(all.batchSize, all.replicas);
    this.numClasses = classesPerBatch(this.size, all.samplesPerClass);
    this.samplesPerClass = all.samplesPerClass;
    this.replicas = all.replicas;
    this.hardness = all.hardness;
    this.subset = new Subset({ labels, indices });
    this.random = random;
    this.difficulty = difficulty;
    this.length = Math.max(1, Math.floor(this.subset.size / this.size));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const { random, samplesPerClass } = this;
    const { classes } = this.subset;
    const weights = classes.map((images) => Float64Array.from(images, (image) => this.weightOf(image)));
    const sums: number[] = [];
    for (const ofClass of weights)
      sums.push((sums.at(-1) ?? 0) + ofClass.reduce((sum, weight) => sum + weight, 0));
    for (let batch = 0; batch < this.length; batch++) {
      const making = new BatchInMaking(this.size, random);
      for (const index of this.chooseClasses(sums))
        making.take(heaviest(classes[index]!, weights[index]!, random), samplesPerClass);
      making.addClasses(classes, samplesPerClass);
      making.addImages(classes);
      yield replicate(making.images, this.replicas);
    }
  }

  private weightOf(image: number): number {
    const difficulty = this.difficulty.of(image) ?? UNSEEN;
    return Math.exp(this.hardness * (difficulty - UNSEEN));
  }

  /** Different ones, each with a chance as large as its images' together; a draw of one that is chosen already is repeated. */
  private chooseClasses(sums: readonly number[]): Set<number> {
    const chosen = new Set<number>();
    const wanted = Math.min(this.numClasses, sums.length);
    // Where few classes have nearly all the weight the rest are any others.
    for (let draw = 0; chosen.size < wanted && draw < 20 * wanted; draw++)
      chosen.add(placeOf(this.random.next() * sums.at(-1)!, sums));
    for (const index of this.random.permutation(sums.length)) {
      if (chosen.size === wanted) break;
      chosen.add(index);
    }
    return chosen;
  }
}

/** The first place whose sum is above a value. */
function placeOf(value: number, sums: readonly number[]): number {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Images in the order in which they are drawn without replacement, by their weights (Efraimidis and Spirakis 2006). */
function heaviest(images: Int32Array, weights: Float64Array, random: Random): number[] {
  // 1 - u is never 0.
  const keys = weights.map((weight) => -Math.log(1 - random.next()) / weight);
  return Array.from(keys.keys())
    .sort((a, b) => keys[a]! - keys[b]!)
    .map((place) => images[place]!);
}

export const hardImages = {
  ...part({
    name: 'hard-images',
    help: 'P classes × K images, drawn by how difficult they were when they last came up',
    options,
    build: (options, context: SamplerContext) => {
      const { difficulty } = context;
      if (difficulty) return new HardImageSampler({ ...sized(context), ...options, difficulty });
      throw new OptionError(
        'name',
        'hard-images draws by the difficulty of images, which a training follows',
      );
    },
  }),
  usesDifficulty: true,
};
