import { F, rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import type { Mined } from '../tuples.js';
import { logOnePlusSumExp } from './log-one-plus-sum-exp.js';
import { Loss, lossPart } from './loss.js';
import { lengthWeight, nPairTerm } from './multi-class-n-pair.js';
import { hasPositivesAndNegatives } from './pair-masks.js';
import { type PairSets, pairSets } from './pair-sets.js';

const options = z.strictObject({
  alphaDegrees: z
    .number()
    .min(1)
    .max(89)
    .default(45)
    .describe('bound of the angle at the negative, in degrees'),
  angularWeight: z.number().min(0).default(2).describe('weight of the angular term beside the N-pair term'),
  l2Weight: lengthWeight,
});

export type AngularLossOptions = z.input<typeof options>;

/**
 * N-pair and angular loss (Wang, Zhou, Wen, Liu, Lin, "Deep metric learning with angular loss", ICCV 2017,
 * equations 8 and 9):
 *
 *     L_npair + w · mean over the positive pairs of log(1 + Σ_n exp(f_apn)),
 *     f_apn = 4 tan²α (x_a + x_p)·x_n - 2 (1 + tan²α) x_a·x_p.
 *
 * Which pairs and negatives is as in MultiClassNPairLoss.
 */
export class AngularLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly alphaDegrees: number;
  readonly angularWeight: number;
  readonly l2Weight: number;

  constructor(given: AngularLossOptions = {}) {
    super();
    const { alphaDegrees, angularWeight, l2Weight } = withDefaults('AngularLoss', options, given);
    this.alphaDegrees = alphaDegrees;
    this.angularWeight = angularWeight;
    this.l2Weight = l2Weight;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null): Tensor {
    if (!this.hasEnough(anchors, reference))
      throw new Error('angular loss: the batch has no positive and negative pair; skip such batches');
    return scope(() => {
      const pairs = pairSets('angular loss', anchors, reference, mined);
      const angular = this.angularTerm(anchors, reference, pairs);
      const loss = angular.mul(this.angularWeight).add(nPairTerm(anchors, reference, pairs));
      return this.l2Weight === 0 ? loss : loss.add(anchors.embeddings.norm(2, 1).mean().mul(this.l2Weight));
    });
  }

  private angularTerm(of: Rows, reference: Rows, { anchors, positives, negatives }: PairSets): Tensor {
    const x = F.normalize(of.embeddings);
    const y = reference === of ? x : F.normalize(reference.embeddings);
    const squaredTangent = Math.tan((this.alphaDegrees * Math.PI) / 180) ** 2;
    const similarities = rowProducts(x, y);
    const ofAnchors = similarities.indexSelect(0, anchors);
    const ofPositives =
      reference === of ? similarities.indexSelect(0, positives) : y.indexSelect(0, positives).matmul(y.t());
    const toNegatives = ofAnchors.add(ofPositives).mul(4 * squaredTangent);
    const toPositive = ofAnchors.gather(1, positives.unsqueeze(1)).mul(2 * (1 + squaredTangent));
    return logOnePlusSumExp(toNegatives.sub(toPositive), negatives).mean();
  }
}

export const angular = lossPart({
  name: 'angular',
  help: 'N-pair and angular loss (Wang et al. 2017)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new AngularLoss(options),
});
