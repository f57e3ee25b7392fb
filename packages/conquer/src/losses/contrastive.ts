import { scope, type Tensor } from '@conquer/torch';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Tuples } from '../tuples.js';
import { pairDistance } from './distance.js';
import { Loss, selectTuples } from './loss.js';

export interface ContrastiveLossOptions {
  /** A positive pair nearer than this has no loss. Default 0. */
  posMargin?: number;
  /** A negative pair farther than this has no loss. Default 1. */
  negMargin?: number;
}

/** All of its options. */
const optionNames: OptionNames<ContrastiveLossOptions> = { posMargin: true, negMargin: true };

/**
 * Contrastive loss (Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR
 * 2006) on a miner's tuples, linear in the distances as in Roth et al., "Revisiting training strategies"
 * (ICML 2020): mean [d_ap - posMargin]₊ + mean [negMargin - d_an]₊. Distances are PyTorch's
 * pairwise_distance, on the unit sphere 0…2.
 */
export class ContrastiveLoss extends Loss {
  readonly usesTuples = true;
  readonly posMargin: number;
  readonly negMargin: number;

  constructor(options: ContrastiveLossOptions = {}) {
    super();
    refuseUnknownOptions('ContrastiveLoss', options, optionNames);
    const { posMargin = 0, negMargin = 1 } = options;
    this.posMargin = posMargin;
    this.negMargin = negMargin;
  }

  forward(embeddings: Tensor, labels: Int32Array, tuples: Tuples | null): Tensor {
    return scope(() => {
      const { anchors, positives, negatives } = selectTuples('contrastive', embeddings, labels, tuples);
      const together = pairDistance(anchors, positives).sub(this.posMargin).relu().mean();
      const apart = pairDistance(anchors, negatives).neg().add(this.negMargin).relu().mean();
      return together.add(apart);
    });
  }
}
