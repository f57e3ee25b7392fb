import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { pairDistance } from './distance.js';
import { Loss, lossPart, selectKnownPairs, selectTuples } from './loss.js';

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
      if (of.pairs) return this.ofKnownPairs(of, reference);
      const { anchors, positives, negatives } = selectTuples('contrastive', of, reference, mined);
      const together = pairDistance(anchors, positives).sub(this.posMargin).relu().mean();
      const apart = pairDistance(anchors, negatives).neg().add(this.negMargin).relu().mean();
      return together.add(apart);
    });
  }

  /** The same of pairs that are known: each kind has its own mean, 0 where there is none. */
  private ofKnownPairs(of: Rows, reference: Rows): Tensor {
    const { same, different } = selectKnownPairs('contrastive', of, reference);
    const mean = (hinges: Tensor) => hinges.sum().div(Math.max(1, hinges.numel()));
    const together = mean(
      pairDistance(...same)
        .sub(this.posMargin)
        .relu(),
    );
    const apart = mean(
      pairDistance(...different)
        .neg()
        .add(this.negMargin)
        .relu(),
    );
    return together.add(apart);
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
