import { aten, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { pairDistance } from './distance.js';
import { Loss, lossPart, selectTuples } from './loss.js';

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
      const { anchors, positives, negatives } = selectTuples('triplet', of, reference, mined);
      const distance = this.squared ? squaredDistance : pairDistance;
      const difference = distance(anchors, positives).sub(distance(anchors, negatives));
      const losses = this.soft ? aten.log1p(difference.exp()) : difference.add(this.margin).relu();
      if (!this.averageNonZeroOnly) return losses.mean();
      return losses.sum().div(losses.gt(0).sum().clamp({ min: 1 }));
    });
  }
}

/** (T, D), (T, D) → (T,) */
function squaredDistance(a: Tensor, b: Tensor): Tensor {
  return a.sub(b).square().sum(1);
}

export const triplet = lossPart({
  name: 'triplet',
  help: "triplet loss on a miner's tuples (Schroff et al. 2015)",
  usesTuples: true,
  learns: false,
  options,
  build: (options) => new TripletLoss(options),
});
