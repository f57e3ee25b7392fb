import { aten, rowDistances, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { pairDistances } from './distance.js';
import { Loss, lossPart, minedTuples } from './loss.js';

const options = z.strictObject({
  margin: z.number().min(0).default(0.2).describe('how much farther than the positive a negative has to be'),
  soft: z
    .boolean()
    .default(false)
    .describe('log(1 + exp(d_ap - d_an)) instead of the hinge; the margin is not used'),
  averageNonZeroOnly: z
    .boolean()
    .default(true)
    .describe('divide by the number of tuples with a loss, not of all'),
  squared: z.boolean().default(false).describe('squared distances, as in FaceNet'),
});

export type TripletLossOptions = z.input<typeof options>;

/**
 * Triplet loss on a miner's tuples: the mean of [d_ap - d_an + margin]₊ (Schroff, Kalenichenko, Philbin,
 * "FaceNet", CVPR 2015) or of its soft form (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017).
 * Distances are PyTorch's pairwise_distance.
 */
export class TripletLoss extends Loss {
  readonly usesTuples = true;
  readonly usesReference = true;
  readonly margin: number;
  readonly soft: boolean;
  readonly averageNonZeroOnly: boolean;
  readonly squared: boolean;

  constructor(given: TripletLossOptions = {}) {
    super();
    const { margin, soft, averageNonZeroOnly, squared } = withDefaults('TripletLoss', options, given);
    this.margin = margin;
    this.soft = soft;
    this.averageNonZeroOnly = averageNonZeroOnly;
    this.squared = squared;
  }

  override semihardMargin(): number {
    return this.margin;
  }

  forward(of: Rows, reference: Rows, mined: Mined | null): Tensor {
    return scope(() => {
      const { anchors, positives, negatives } = minedTuples('triplet', of, reference, mined);
      const [a, b] = [of.embeddings, reference.embeddings];
      const distance = (others: Int32Array) =>
        this.squared ? rowDistances(a, b, anchors, others).square() : pairDistances(a, b, anchors, others);
      const difference = distance(positives).sub(distance(negatives));
      const losses = this.soft ? aten.log1p(difference.exp()) : difference.add(this.margin).relu();
      if (!this.averageNonZeroOnly) return losses.mean();
      return losses.sum().div(losses.gt(0).sum().clamp({ min: 1 }));
    });
  }
}

export const triplet = lossPart({
  name: 'triplet',
  help: "triplet loss on a miner's tuples (Schroff et al. 2015)",
  usesTuples: true,
  learns: false,
  options,
  build: (options) => new TripletLoss(options),
});
