import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { Loss, lossPart, selectTuples } from './loss.js';

const options = z.strictObject({
  margin: z
    .number()
    .min(0)
    .default(0.2)
    .describe("how much larger than the positive's a negative's ratio has to be"),
  regLambda: z
    .number()
    .min(0)
    .default(0.005)
    .describe("weight of the anchors' distance from a mean of zero over their dimensions"),
  averageNonZeroOnly: z
    .boolean()
    .default(true)
    .describe('divide by the number of tuples with a loss, not of all'),
});

export type SnrLossOptions = z.input<typeof options>;

/** An anchor whose dimensions are all but equal has no signal; this keeps its ratio finite. */
const LEAST_VARIANCE = 1e-8;

/**
 * Triplet loss on signal-to-noise ratios (Yuan, Deng, Tang, Tang, Chen, "Signal-to-noise ratio: a robust distance
 * metric for deep metric learning", CVPR 2019): the mean of [s_ap - s_an + margin]₊ + λ mean |Σ_d a_d|, where
 * s_xy = var(x - y) / var(x) over the dimensions.
 */
export class SnrLoss extends Loss {
  readonly usesTuples = true;
  readonly usesReference = true;
  readonly margin: number;
  readonly regLambda: number;
  readonly averageNonZeroOnly: boolean;

  constructor(given: SnrLossOptions = {}) {
    super();
    const { margin, regLambda, averageNonZeroOnly } = withDefaults('SnrLoss', options, given);
    this.margin = margin;
    this.regLambda = regLambda;
    this.averageNonZeroOnly = averageNonZeroOnly;
  }

  override semihardMargin(): number {
    return this.margin;
  }

  forward(of: Rows, reference: Rows, mined: Mined | null): Tensor {
    return scope(() => {
      const { anchors, positives, negatives } = selectTuples('snr', of, reference, mined);
      const variance = (x: Tensor) => x.var(1, { unbiased: false });
      const noise = variance(anchors.sub(positives)).sub(variance(anchors.sub(negatives)));
      const losses = noise
        .div(variance(anchors).clamp({ min: LEAST_VARIANCE }))
        .add(this.margin)
        .relu();
      const regularisation = anchors.sum(1).abs().mean().mul(this.regLambda);
      const mean = this.averageNonZeroOnly
        ? losses.sum().div(losses.gt(0).sum().clamp({ min: 1 }))
        : losses.mean();
      return mean.add(regularisation);
    });
  }
}

export const snr = lossPart({
  name: 'snr',
  help: 'triplet loss on signal-to-noise ratios in place of distances (Yuan et al. 2019)',
  usesTuples: true,
  learns: false,
  options,
  build: (options) => new SnrLoss(options),
});
