import { aten, scope, type Tensor } from '@conquer/torch';
import type { Tuples } from '../tuples.js';
import { Loss, selectTuples } from './loss.js';

export interface TripletLossOptions {
  margin?: number;
  /** log(1 + exp(d_ap - d_an)) instead of the hinge; the margin is not used. */
  soft?: boolean;
  /** Divide by the number of tuples with a loss instead of the number of all. */
  averageNonZeroOnly?: boolean;
}

/**
 * Triplet loss on a miner's tuples: the mean of [d_ap - d_an + margin]₊ (Schroff, Kalenichenko, Philbin, "FaceNet",
 * CVPR 2015) or of its soft form (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017).
 */
export class TripletLoss extends Loss {
  readonly usesTuples = true;
  readonly margin: number;
  readonly soft: boolean;
  readonly averageNonZeroOnly: boolean;

  constructor({ margin = 0.2, soft = false, averageNonZeroOnly = true }: TripletLossOptions = {}) {
    super();
    this.margin = margin;
    this.soft = soft;
    this.averageNonZeroOnly = averageNonZeroOnly;
  }

  forward(embeddings: Tensor, _labels: Int32Array, tuples: Tuples | null): Tensor {
    return scope(() => {
      const { anchors, positives, negatives } = selectTuples('triplet', embeddings, tuples);
      const difference = distance(anchors, positives).sub(distance(anchors, negatives));
      const losses = this.soft ? aten.log1p(difference.exp()) : difference.add(this.margin).relu();
      if (!this.averageNonZeroOnly) return losses.mean();
      return losses.sum().div(losses.gt(0).sum().clamp({ min: 1 }));
    });
  }
}

/** PyTorch's pairwise_distance: the norm of a - b + 1e-6. */
function distance(a: Tensor, b: Tensor): Tensor {
  return aten.pairwise_distance(a, b, 2, 1e-6, false);
}
