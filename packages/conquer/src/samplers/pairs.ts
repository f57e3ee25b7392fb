import { counted, UserError } from '@conquer-dml/run';
import { z } from 'zod';
import type { ImagePairs } from '../image-pairs.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import {
  type BatchSampler,
  batchOptions,
  replicate,
  type SamplerContext,
  type SubsetOptions,
  sized,
  sizeWithoutReplicas,
} from './batch-sampler.js';
import { Deck } from './deck.js';

const allOptions = batchOptions.omit({ samplesPerClass: true });

export interface PairSamplerOptions extends Omit<SubsetOptions, 'labels'>, z.input<typeof allOptions> {
  /** Of the whole split; those count of which both images are in the subset. */
  pairs: ImagePairs;
}

/**
 * Batches of pairs that are known to be the same or different, half of them of either kind (one more different where half is no
 * whole number): the two images of a pair one after the other. All pairs of a kind come up, in random order, before one comes again.
 *
 * Epoch: as many batches as the larger kind fills, so that every pair comes up at least once, and those of the smaller kind more
 * often; the last batch is filled with pairs that come up again.
 * @throws UserError if the subset has no pair of either kind, or the batch not room for two pairs
 */
export class PairSampler implements BatchSampler {
  readonly length: number;
  /** Places in `pairs` of each kind. */
  private readonly kinds: readonly [same: Int32Array, different: Int32Array];
  private readonly pairs: ImagePairs;
  private readonly perKind: readonly [same: number, different: number];
  private readonly replicas: number;
  private readonly random: Random;

  constructor({ pairs, indices, random, ...given }: PairSamplerOptions) {
    const { batchSize, replicas } = withDefaults('PairSampler', allOptions, given);
    const size = sizeWithoutReplicas(batchSize, replicas);
    if (size % 2 !== 0 || size < 4)
      throw new UserError(`expected a batch of two pairs at least, an even number of images, got ${size}`);
    const inSubset = indices && new Set(indices);
    const isIn = (pair: number) =>
      !inSubset || (inSubset.has(pairs.first[pair]!) && inSubset.has(pairs.second[pair]!));
    const places = Int32Array.from(pairs.same.keys()).filter(isIn);
    const same = places.filter((pair) => pairs.same[pair] === 1);
    const different = places.filter((pair) => pairs.same[pair] === 0);
    if (same.length === 0 || different.length === 0)
      throw new UserError(
        `expected pairs of both kinds to sample batches from, got ${same.length} same and ${counted(different.length, 'different pair')}`,
      );
    this.kinds = [same, different];
    this.pairs = pairs;
    const half = Math.floor(size / 4);
    this.perKind = [half, size / 2 - half];
    this.replicas = replicas;
    this.random = random;
    this.length = Math.max(...this.kinds.map((kind, i) => Math.ceil(kind.length / this.perKind[i]!)));
  }

  *[Symbol.iterator](): Generator<Int32Array> {
    const decks = this.kinds.map((kind) => new Deck(kind, this.random));
    for (let batch = 0; batch < this.length; batch++) {
      const drawn = decks.flatMap((deck, kind) => [...deck.deal(this.perKind[kind]!)]);
      yield replicate(
        drawn.flatMap((pair) => [this.pairs.first[pair]!, this.pairs.second[pair]!]),
        this.replicas,
      );
    }
  }
}

export const pairs = {
  ...part({
    name: 'pairs',
    help: 'pairs that the data set lists, half of them the same and half different',
    options: z.strictObject({}),
    build: (_, context: SamplerContext) => {
      const { pairs } = context;
      if (pairs === undefined)
        throw new UserError(
          'expected a data set of pairs for batches of pairs, and this one has classes: take another sampler',
        );
      const { labels, samplesPerClass, ...others } = sized(context);
      return new PairSampler({ pairs, ...others });
    },
  }),
  usesPairs: true,
};
