import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import { OptionError } from '../option-error.js';
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

const options = z.strictObject({
  categoriesPerBatch: z
    .int()
    .min(1)
    .default(2)
    .describe('categories that share a batch, or all of a subset that has fewer'),
});
const allOptions = batchOptions.extend(options.shape);

/** The classes of a batch, `batchSize / replicas / samplesPerClass`, are at least as many as its categories. */
export interface HierarchicalOptions extends SubsetOptions, z.input<typeof allOptions> {
  /** The category of each class, by label. */
  categories: readonly string[];
}

/**
 * Batches of a few categories (SOP's super-classes), an equal number of classes of each, `samplesPerClass` images of each
 * class: negatives are of the same kind of thing, and hard (as Cakir, He, Xia, Kulis, Sclaroff, "Deep metric learning to
 * rank", CVPR 2019, draw them). Every image of the subset comes up at least once an epoch.
 *
 * No image is in a batch twice. Room that is left, where classes or categories are small, is filled from the batch's own
 * categories first. A subset smaller than a batch makes batches of all its images.
 *
 * Epoch: so many batches that each category can give all its images.
 * @throws UserError if the subset has fewer than two classes, the sizes do not fit, an option is unknown, or a class has no
 *   category; RangeError if there are not as many labels as indices
 */
export class HierarchicalSampler implements BatchSampler {
  readonly length: number;
  private readonly subset: Subset;
  /** The classes' images by category. */
  private readonly categories: Int32Array[][];
  private readonly size: number;
  private readonly samplesPerClass: number;
  private readonly categoriesPerBatch: number;
  private readonly classesPerCategory: number;
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ labels, indices, random, categories, ...given }: HierarchicalOptions) {
    const all = withDefaults('HierarchicalSampler', allOptions, given);
    const { batchSize, samplesPerClass, replicas, categoriesPerBatch } = all;
    this.size = sizeWithoutReplicas(batchSize, replicas);
    const room = classesPerBatch(this.size, samplesPerClass);
    if (categoriesPerBatch > room) {
      throw new OptionError(
        'categoriesPerBatch',
        `expected at most the ${room} classes of a batch, got ${categoriesPerBatch}`,
      );
    }
    this.subset = new Subset({ labels, indices });
    this.categories = byCategory(this.subset, categories);
    this.samplesPerClass = samplesPerClass;
    this.replicas = replicas;
    this.random = random;
    this.categoriesPerBatch = Math.min(categoriesPerBatch, this.categories.length);
    this.classesPerCategory = Math.floor(room / this.categoriesPerBatch);
    const shares = this.categories.map((classes) => this.numShares(classes));
    this.length = roundsFor(shares, this.categoriesPerBatch);
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const { random, categories, samplesPerClass } = this;
    const shares = Array.from(random.permutation(categories.length), (category) =>
      this.sharesOf(category).map((groups) => ({ category, groups })),
    );
    const rounds = dealApart(shares, this.length);
    for (const round of random.permutation(rounds.length)) {
      const batch = new BatchInMaking(this.size, random);
      const of = new Set<number>();
      for (const { category, groups } of rounds[round]!) {
        of.add(category);
        for (const group of groups) batch.take(group);
      }
      for (const category of random.permutation(categories.length)) {
        if (of.size >= this.categoriesPerBatch) break;
        if (of.has(category)) continue;
        of.add(category);
        for (const images of this.someClasses(category)) batch.take(images);
      }
      const own = [...of].flatMap((category) => categories[category]!);
      batch.addClasses(own, samplesPerClass);
      // There have to be negatives.
      if (own.length < 2) batch.addClasses(this.subset.classes, samplesPerClass);
      batch.addImages(own);
      batch.addClasses(this.subset.classes, samplesPerClass);
      batch.addImages(this.subset.classes);
      yield replicate(batch.images, this.replicas);
    }
  }

  /** What a category gives to one batch is a share; so many make all of it. */
  private numShares(classes: readonly Int32Array[]): number {
    const groups = classes.map((images) => numGroups(images, this.samplesPerClass));
    return roundsFor(groups, this.classesPerCategory);
  }

  private sharesOf(category: number): Int32Array[][] {
    const { random, samplesPerClass } = this;
    const classes = this.categories[category]!;
    const groups = Array.from(random.permutation(classes.length), (index) =>
      groupsOf(classes[index]!, samplesPerClass, random),
    );
    return dealApart(groups, this.numShares(classes));
  }

  /** Images of random classes of a category, as many as a share has. */
  private someClasses(category: number): Int32Array[] {
    const { random, samplesPerClass } = this;
    const classes = this.categories[category]!;
    const chosen = random.choice(classes.length, Math.min(this.classesPerCategory, classes.length));
    return Array.from(chosen, (index) => {
      const images = classes[index]!;
      const picked = random.choice(images.length, Math.min(samplesPerClass, images.length));
      return picked.map((place) => images[place]!);
    });
  }
}

/** @throws UserError for a class without a category */
function byCategory({ classes, labels }: Subset, categories: readonly string[]): Int32Array[][] {
  const found = new Map<string, Int32Array[]>();
  for (const [index, images] of classes.entries()) {
    const category = categories[labels[index]!];
    if (category === undefined) {
      throw new UserError(
        `hierarchical sampler: expected the category of each class, got ${categories.length}, none for label ${labels[index]}`,
      );
    }
    const others = found.get(category);
    if (others) others.push(images);
    else found.set(category, [images]);
  }
  return [...found.values()];
}

export const hierarchical = part({
  name: 'hierarchical',
  help: 'classes of a few categories (super-classes) share a batch, every image at least once an epoch',
  options,
  build: (options, context: SamplerContext) => {
    const { categories } = context;
    if (categories) return new HierarchicalSampler({ ...sized(context), ...options, categories });
    throw new OptionError(
      'name',
      'hierarchical needs the category of each class, which this data set does not say: sop and inshop do, and a csv with a column category; or take pk',
    );
  },
});
