import { arange, aten, noGrad, rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { classMembers } from './class-members.js';
import { Loss, lossPart } from './loss.js';
import { logSumExpWithout, maskedLogSumExp } from './masked-log-sum-exp.js';
import { minedOption } from './mined-option.js';
import { meanOfPositive } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, notNegative, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  margin: z
    .number()
    .default(0.4)
    .describe('m: how far from 1 and 0 similarities may stay; 0.25 for faces and persons'),
  gamma: z.number().min(1e-3).default(80).describe('γ: the scale; 256 for faces, 128 for persons'),
  over: z
    .enum(['anchors', 'batch'])
    .default('anchors')
    .describe('one term an anchor, or one of all pairs of the batch, each pair once'),
  mined: minedOption,
});

export type CircleOptions = z.input<typeof options>;

/**
 * Circle loss (Sun, Cheng, Zhang, Zhang, Zheng, Wang, Wei, "Circle loss: a unified perspective of pair similarity
 * optimization", CVPR 2020, equations 8 to 10) of the cosine similarities s:
 *
 *     log(1 + Σ_n exp(γ [s_n + m]₊ (s_n - m)) · Σ_p exp(-γ [1 + m - s_p]₊ (s_p - 1 + m)))
 *
 * in which the brackets are weights, without a gradient; the mean over the anchors with a loss. The paper leaves open over
 * which pairs the sums are: an anchor's, as in pytorch-metric-learning, or of the whole batch, as in the implementation that
 * is most in use. A batch without a positive and a negative pair gives 0.
 */
export class CircleLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference: boolean;
  readonly margin: number;
  readonly gamma: number;
  readonly over: 'anchors' | 'batch';

  constructor(given: CircleOptions = {}) {
    super();
    const { margin, gamma, over, mined } = withDefaults('CircleLoss', options, given);
    this.margin = margin;
    this.gamma = gamma;
    this.over = over;
    this.usesTuples = mined;
    this.usesReference = over === 'anchors';
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, of: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      const reference = this.usesReference ? of : anchors;
      checkPair('circle loss', anchors, reference, true);
      const similarities = rowProducts(anchors.embeddings, reference.embeddings);
      if (this.over === 'anchors' && mined === null) {
        const others = notNegative('circle loss', anchors, reference);
        const { rows, present, isFull } = classMembers(anchors, reference, false);
        const own = this.pull(similarities.gather(1, rows));
        const pull = isFull ? own.logsumexp(1) : maskedLogSumExp(own, present);
        const push = logSumExpWithout(this.push(similarities), others);
        return meanOfPositive(aten.softplus(pull.add(push)));
      }
      const { positives, negatives } = pairMasks('circle loss', anchors, reference, mined);
      const [pull, push] = [this.pull(similarities), this.push(similarities)];
      if (this.over === 'anchors') {
        const exponent = maskedLogSumExp(pull, positives).add(maskedLogSumExp(push, negatives));
        return meanOfPositive(aten.softplus(exponent));
      }
      const row = arange(0, anchors.labels.length, 1, { device: anchors.embeddings.device });
      const once = row.unsqueeze(1).lt(row);
      const all = (x: Tensor, pairs: Tensor) =>
        maskedLogSumExp(x.view([1, -1]), pairs.logicalAnd(once).view([1, -1]));
      return aten.softplus(all(pull, positives).add(all(push, negatives))).squeeze(0);
    });
  }

  /** -γ [1 + m - s]₊ (s - 1 + m), the bracket a constant. */
  private pull(s: Tensor): Tensor {
    const weight = noGrad(() =>
      s
        .sub(1 + this.margin)
        .clamp_({ max: 0 })
        .mul_(this.gamma),
    );
    return weight.mul(s.sub(1 - this.margin));
  }

  /** γ [s + m]₊ (s - m), the bracket a constant. */
  private push(s: Tensor): Tensor {
    const weight = noGrad(() => s.add(this.margin).clamp_({ min: 0 }).mul_(this.gamma));
    return weight.mul(s.sub(this.margin));
  }
}

export const circle = lossPart({
  name: 'circle',
  help: 'pairs weighed by how far they are from their optimum (Sun et al. 2020)',
  usesTuples: false,
  learns: false,
  differs:
    "the paper leaves open over which pairs its sums are: by default an anchor's, as in pytorch-metric-learning; `over: batch` is one term of all pairs, as in the implementation most in use",
  options,
  build: (options) => new CircleLoss(options),
});
