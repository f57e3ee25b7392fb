import { rowProducts, scope, type Tensor, tensor, zeros } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { classMembers } from './class-members.js';
import { Loss, lossPart } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  numBins: z
    .int()
    .min(1)
    .default(10)
    .describe('L: intervals of the histograms, from distance 0 to the largest'),
  gradient: z
    .enum(['derivative', 'authors'])
    .default('derivative')
    .describe("authors: n/2 times the value's derivative, n anchors with a positive, as in their code"),
});

export type FastApOptions = z.input<typeof options>;

/** The largest squared distance of unit vectors. */
const FARTHEST = 4;

/**
 * FastAP (Cakir, He, Xia, Kulis, Sclaroff, "Deep metric learning to rank", CVPR 2019): 1 minus the mean over the anchors with
 * a positive of the average precision by histograms of the squared distances, into which each pair goes by linear
 * interpolation between two of L + 1 nodes,
 *
 *     1/|P| Σ_l h⁺_l H⁺_l / H_l
 *
 * where h⁺ is the histogram of the anchor's positives, H⁺ and H the running sums over the positives and over all others.
 */
export class FastApLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly numBins: number;
  readonly gradient: 'derivative' | 'authors';

  constructor(given: FastApOptions = {}) {
    super();
    const { numBins, gradient } = withDefaults('FastApLoss', options, given);
    this.numBins = numBins;
    this.gradient = gradient;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    return scope(() => {
      const { same } = pairMasks('fast-ap loss', anchors, reference);
      const { rows, present, counts } = classMembers(anchors, reference, false);
      const having = counts.reduce((sum, count) => sum + Number(count > 0), 0);
      if (having === 0) return nothingToLearn(anchors);
      // In steps from the first node: |x - y|² = 2 - 2 x·y. Rounding may leave the ends.
      const steps = rowProducts(anchors.embeddings, reference.embeddings)
        .sub(1)
        .mul((-2 * this.numBins) / FARTHEST)
        .clamp({ min: 0, max: this.numBins });
      const all = this.histograms(steps, same.logicalNot()).cumsum(1);
      const ofPositives = this.histograms(steps.gather(1, rows), present);
      const precision = ofPositives.cumsum(1).div(all.add(all.eq(0)));
      const { dtype, device } = anchors.embeddings;
      const weights = Float64Array.from(counts, (count) => (count > 0 ? 1 / (count * having) : 0));
      const average = ofPositives.mul(precision).sum(1).mul(tensor(weights, { dtype, device })).sum();
      const loss = average.neg().add(1);
      if (this.gradient === 'derivative') return loss;
      return loss.detach().add(loss.sub(loss.detach()).mul(having / 2));
    });
  }

  /** Of each row its counted distances' histogram: (A, N), (A, N) bool → (A, L + 1). */
  private histograms(steps: Tensor, counted: Tensor): Tensor {
    const { dtype, device } = steps;
    const lower = steps
      .detach()
      .floor()
      .clamp({ max: this.numBins - 1 });
    const toUpper = steps.sub(lower).mul(counted);
    const toLower = toUpper.neg().add(counted);
    const node = lower.to('int64');
    return zeros([steps.size(0), this.numBins + 1], { dtype, device })
      .scatterAdd_(1, node, toLower)
      .scatterAdd_(1, node.add(1), toUpper);
  }
}

export const fastAp = lossPart({
  name: 'fast-ap',
  help: 'average precision by histograms of distances (Cakir et al. 2019)',
  usesTuples: false,
  learns: false,
  differs:
    "value and gradient as pytorch-metric-learning; the authors' hand-written backward gives n/2 times the derivative, n the anchors with a positive: `gradient: authors`",
  options,
  build: (options) => new FastApLoss(options),
});
