import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { distanceOption, distances, similaritiesBy, trueDistances } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { minedOption } from './mined-option.js';
import { meanOfPositive } from './nothing-to-learn.js';
import { hasAnyPair, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  distance: distanceOption('cosine', ['cosine', 'inner-product', ...trueDistances]),
  posMargin: z
    .number()
    .nullable()
    .default(null)
    .describe('a positive pair nearer than this has no loss; null: 1 of a similarity, 0 of a distance'),
  negMargin: z
    .number()
    .nullable()
    .default(null)
    .describe('a negative pair farther than this has no loss; null: 0.5 of a similarity, 1 of a distance'),
  form: z
    .enum(['hinges', 'xbm'])
    .default('hinges')
    .describe("the mean of what is beyond a margin, or as in the cross-batch memory's code: sums over pairs"),
  mined: minedOption,
});

export type PairContrastiveOptions = z.input<typeof options>;

/**
 * Contrastive loss (Hadsell, Chopra, LeCun, CVPR 2006) of all pairs of a batch, or of an anchor and what it is compared
 * with: the mean of the positives' hinges above 0, and the same of the negatives. Of similarities s
 *
 *     mean⁺ [posMargin - s_p]₊ + mean⁺ [s_n - negMargin]₊,
 *
 * of distances with the signs turned. `form: 'xbm'` is what the authors of the cross-batch memory run (Wang, Zhang, Huang,
 * Scott, CVPR 2020): for each anchor Σ_p (posMargin - s_p) + Σ_{n: s_n > negMargin} s_n, the mean over the anchors; a
 * negative beyond the margin counts whole.
 */
export class PairContrastiveLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = true;
  readonly distance: z.output<typeof options>['distance'];
  readonly posMargin: number;
  readonly negMargin: number;
  readonly form: 'hinges' | 'xbm';

  constructor(given: PairContrastiveOptions = {}) {
    super();
    const { distance, posMargin, negMargin, form, mined } = withDefaults(
      'PairContrastiveLoss',
      options,
      given,
    );
    const { isSimilarity } = distances[distance];
    this.distance = distance;
    this.posMargin = posMargin ?? (isSimilarity ? 1 : 0);
    this.negMargin = negMargin ?? (isSimilarity ? 0.5 : 1);
    this.form = form;
    this.usesTuples = mined;
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  override get takesKnownPairs(): boolean {
    return true;
  }

  /** Whether there is a pair of any kind. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasAnyPair(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const { positives, negatives } = pairMasks('pair-contrastive loss', anchors, reference, mined, true);
      // The larger the nearer, whatever rows are compared by.
      const near = similaritiesBy(this.distance, anchors, reference, 1);
      const sign = distances[this.distance].isSimilarity ? 1 : -1;
      const apart = near.neg().add(sign * this.posMargin);
      if (this.form === 'xbm') {
        const beyond = negatives.logicalAnd(near.gt(sign * this.negMargin));
        const each = apart.where(positives, 0).add(near.where(beyond, 0));
        return each.sum().div(anchors.labels.length);
      }
      const pull = apart.relu().where(positives, 0);
      const push = near
        .sub(sign * this.negMargin)
        .relu()
        .where(negatives, 0);
      return meanOfPositive(pull).add(meanOfPositive(push));
    });
  }
}

export const pairContrastive = lossPart({
  name: 'pair-contrastive',
  help: 'contrastive loss of all pairs, by any distance (Hadsell et al. 2006)',
  usesTuples: false,
  learns: false,
  differs:
    "pytorch-metric-learning's ContrastiveLoss (whose margins for a similarity have to be given: 1 and 0.5 here by default); `form: xbm` is the cross-batch memory's code: sums over pairs divided by the anchors, a negative counts whole once beyond the margin",
  options,
  build: (options) => new PairContrastiveLoss(options),
});
