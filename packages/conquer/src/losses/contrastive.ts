import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';
import { pairDistances } from './distance.js';
import { knownPairs, Loss, lossPart, minedTuples } from './loss.js';

const options = z.strictObject({
  posMargin: z.number().min(0).default(0).describe('a positive pair nearer than this has no loss'),
  negMargin: z.number().min(0).default(1).describe('a negative pair farther than this has no loss'),
});

export type ContrastiveLossOptions = z.input<typeof options>;

/**
 * Contrastive loss (Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR
 * 2006) on a miner's tuples, linear in the distances as in Roth et al., "Revisiting training strategies"
 * (ICML 2020): mean [d_ap - posMargin]₊ + mean [negMargin - d_an]₊. Distances are PyTorch's
 * pairwise_distance, on the unit sphere 0…2.
 */
export class ContrastiveLoss extends Loss {
  readonly usesTuples = true;
  readonly usesReference = true;
  readonly posMargin: number;
  readonly negMargin: number;

  constructor(given: ContrastiveLossOptions = {}) {
    super();
    const { posMargin, negMargin } = withDefaults('ContrastiveLoss', options, given);
    this.posMargin = posMargin;
    this.negMargin = negMargin;
  }

  override get takesKnownPairs(): boolean {
    return true;
  }

  forward(of: Rows, reference: Rows, mined: Mined | null): Tensor {
    return scope(() => {
      const { positiveAnchors, positives, negativeAnchors, negatives } = of.pairs
        ? knownPairs('contrastive', of, reference)
        : asPairs(minedTuples('contrastive', of, reference, mined));
      const distances = (anchors: Int32Array, others: Int32Array) =>
        pairDistances(of.embeddings, reference.embeddings, anchors, others);
      // Of known pairs there may be none of a kind: its mean is 0.
      const mean = (hinges: Tensor) => hinges.sum().div(Math.max(1, hinges.numel()));
      const together = mean(distances(positiveAnchors, positives).sub(this.posMargin).relu());
      const apart = mean(distances(negativeAnchors, negatives).neg().add(this.negMargin).relu());
      return together.add(apart);
    });
  }
}

export const contrastive = lossPart({
  name: 'contrastive',
  help: 'contrastive loss, linear in the distances (Hadsell et al. 2006)',
  usesTuples: true,
  learns: false,
  options,
  build: (options) => new ContrastiveLoss(options),
});
