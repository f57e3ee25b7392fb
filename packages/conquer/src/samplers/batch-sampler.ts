import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import type { ImagePairs } from '../image-pairs.js';
import type { AnyPart } from '../part.js';
import type { Random } from '../random.js';

/** Which images make the batches of an epoch. */
export interface BatchSampler extends Iterable<Int32Array> {
  /** The number of batches that each iteration yields; at least 1. */
  readonly length: number;
  /**
   * Starts an epoch: yields arrays of positions in the split. All the draws of an epoch come from the sampler's
   * Random while it is iterated, and nothing is carried from one epoch to the next, so that the Random's state
   * at its start determines the epoch.
   */
  [Symbol.iterator](): Iterator<Int32Array>;
}

/** The images that a sampler draws from: a whole split, or the part of it that belongs to one learner. */
export interface SubsetOptions {
  /** Labels of the subset's n images. */
  labels: Int32Array;
  /** Positions of the subset's images in the split; default 0..n-1. */
  indices?: Int32Array | undefined;
  /** Drawn from while the sampler is iterated. */
  random: Random;
}

/** How large the batches of any sampler are. */
export const batchOptions = z.strictObject({
  batchSize: z.int().min(2).default(80).describe('images a batch, its replicas included'),
  samplesPerClass: z.int().min(1).default(4).describe('images of each class in a batch; 2 makes pairs'),
  replicas: z.int().min(1).default(1).describe('times each image is in its batch, augmented anew'),
});

/** How difficult images were when they last came up. */
export interface Difficulty {
  /** Of the image at a position of the split, -2…2; null: it has not come up yet. */
  of(position: number): number | null;
}

/** What is known when a learner's sampler is built: its part of the training data, and the size of a batch. */
export interface SamplerContext extends SubsetOptions, z.output<typeof batchOptions> {
  /** The category of each class, by label, where the data set says it. */
  categories?: readonly string[] | undefined;
  /** Of the whole split, where it has them in the place of classes: for a part with `usesPairs`. */
  pairs?: ImagePairs | undefined;
  /** Where the training follows it: for a part with `usesDifficulty`. */
  difficulty?: Difficulty | undefined;
}

/** A sampler as an experiment names it. */
export interface SamplerPart extends AnyPart<SamplerContext, BatchSampler> {
  /** Whether it asks how difficult images are, which the training then follows. */
  readonly usesDifficulty?: boolean;
  /** Whether it draws pairs, of a data set that has them in the place of classes; any other draws by class. */
  readonly usesPairs?: boolean;
}

/** What every sampler is built of. */
export function sized(context: SamplerContext): SubsetOptions & z.output<typeof batchOptions> {
  const { categories, difficulty, pairs, ...all } = context;
  return all;
}

/** The positions of the subset's images by class, in the order of first occurrence. */
export class Subset {
  readonly classes: readonly Int32Array[];
  /** The label of each of them. */
  readonly labels: readonly number[];
  readonly size: number;

  /** @throws UserError if fewer than two classes occur: no batch of them could hold a negative */
  constructor({ labels, indices }: Pick<SubsetOptions, 'labels' | 'indices'>) {
    if (indices && indices.length !== labels.length) {
      throw new RangeError(`sampler: got ${labels.length} labels for ${indices.length} indices`);
    }
    const byLabel = new Map<number, number[]>();
    for (const [image, label] of labels.entries()) {
      const position = indices ? indices[image]! : image;
      const present = byLabel.get(label);
      if (present) present.push(position);
      else byLabel.set(label, [position]);
    }
    if (byLabel.size < 2) {
      throw new UserError(
        `expected images of at least 2 classes to sample batches from, got ${labels.length} images of ${byLabel.size} class${byLabel.size === 1 ? '' : 'es'}`,
      );
    }
    this.classes = [...byLabel.values()].map((positions) => Int32Array.from(positions));
    this.labels = [...byLabel.keys()];
    this.size = labels.length;
  }
}

/** The batch without its replicas. @throws UserError unless it divides evenly, and holds two images at least */
export function sizeWithoutReplicas(batchSize: number, replicas: number): number {
  if (batchSize % replicas !== 0) {
    throw new UserError(
      `expected a batch size that is a multiple of the ${replicas} replicas, got ${batchSize}`,
    );
  }
  const size = batchSize / replicas;
  if (size < 2)
    throw new UserError(`expected at least 2 different images in a batch, ${batchSize} leave ${size}`);
  return size;
}

/** The classes a batch has room for. @throws UserError unless they are whole, and two at least */
export function classesPerBatch(size: number, samplesPerClass: number): number {
  if (size % samplesPerClass !== 0 || size / samplesPerClass < 2) {
    throw new UserError(
      `expected a batch of at least twice the ${samplesPerClass} samples per class, and a multiple of them, got ${size} images`,
    );
  }
  return size / samplesPerClass;
}

/** The batch `replicas` times, one after the other: the same images, each time augmented anew. */
export function replicate(batch: readonly number[], replicas: number): Int32Array {
  const all = new Int32Array(batch.length * replicas);
  for (let replica = 0; replica < replicas; replica++) all.set(batch, replica * batch.length);
  return all;
}
