import { aten, scope, type Tensor } from '@conquer/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Tuples } from '../tuples.js';
import { pairDistance } from './distance.js';
import { Loss, selectTuples } from './loss.js';

export interface TripletLossOptions {
  /** How much farther than the positive a negative has to be; default 0.2. */
  margin?: number;
  /** log(1 + exp(d_ap - d_an)) instead of the hinge; the margin is not used. Default false. */
  soft?: boolean;
  /** Divide by the number of tuples with a loss (default) instead of the number of all. */
  averageNonZeroOnly?: boolean;
  /** Squared distances, as in FaceNet. Default false. */
  squared?: boolean;
}

/** All of its options. */
const optionNames: OptionNames<TripletLossOptions> = {
  margin: true,
  soft: true,
  averageNonZeroOnly: true,
  squared: true,
};

/**
 * Triplet loss on a miner's tuples: the mean of [d_ap - d_an + margin]₊ (Schroff, Kalenichenko, Philbin,
 * "FaceNet", CVPR 2015) or of its soft form (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017).
 * Distances are PyTorch's pairwise_distance.
 */
export class TripletLoss extends Loss {
  readonly usesTuples = true;
  readonly margin: number;
  readonly soft: boolean;
  readonly averageNonZeroOnly: boolean;
  readonly squared: boolean;

  constructor(options: TripletLossOptions = {}) {
    super();
    refuseUnknownOptions('TripletLoss', options, optionNames);
    const { margin = 0.2, soft = false, averageNonZeroOnly = true, squared = false } = options;
    this.margin = margin;
    this.soft = soft;
    this.averageNonZeroOnly = averageNonZeroOnly;
    this.squared = squared;
  }

  forward(embeddings: Tensor, labels: Int32Array, tuples: Tuples | null): Tensor {
    return scope(() => {
      const { anchors, positives, negatives } = selectTuples('triplet', embeddings, labels, tuples);
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
