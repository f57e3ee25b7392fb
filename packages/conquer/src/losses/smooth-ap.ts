import { scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { type ClassMembers, classMembers } from './class-members.js';
import { similaritiesBy } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { nothingToLearn } from './nothing-to-learn.js';
import { hasPositivesAndNegatives } from './pair-masks.js';

const options = z.strictObject({
  temperature: z
    .number()
    .min(1e-6)
    .default(0.01)
    .describe('of the sigmoid in the place of a step: the smaller, the nearer to true ranks'),
});

export type SmoothApOptions = z.input<typeof options>;

/**
 * Smooth-AP (Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: smoothing the path towards large-scale image retrieval", ECCV
 * 2020): 1 minus the mean over the anchors of their average precision, 1/|G| Σ_{j ∈ G} R(j; G) / R(j; all), of ranks by
 * sigmoids,
 *
 *     R(j; A) = 1 + Σ_{k ∈ A, k ≠ j} σ((s_k - s_j) / t)
 *
 * G are the images of the anchor's class, as in the authors' code its own among them, wherever that is in the reference set.
 * Classes may be of any size, in any order. Memory is A M N numbers, M of the largest class.
 */
export class SmoothApLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly temperature: number;

  constructor(given: SmoothApOptions = {}) {
    super();
    this.temperature = withDefaults('SmoothApLoss', options, given).temperature;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    checkPair('smooth-ap loss', anchors, reference, true);
    return scope(() => {
      const members = classMembers(anchors, reference, true);
      // Over t: there are fewer numbers in rows than in what is compared.
      const similarities = similaritiesBy('cosine', anchors, reference, this.temperature);
      const own = similarities.gather(1, members.rows);
      // σ(0), of the image itself, is 1/2.
      const above = (others: Tensor) => others.unsqueeze(1).sub(own.unsqueeze(2)).sigmoid();
      const inClass = above(own).mul(members.present.unsqueeze(1)).sum(2).add(0.5);
      const inAll = above(similarities).sum(2).add(0.5);
      return withoutAveragePrecision(inClass.div(inAll), members, anchors);
    });
  }
}

/** 1 minus the mean, over the anchors that have any, of the mean over their class of precisions (A, M). */
export function withoutAveragePrecision(
  precisions: Tensor,
  { counts, present }: ClassMembers,
  anchors: Rows,
): Tensor {
  const having = counts.reduce((sum, count) => sum + Number(count > 0), 0);
  if (having === 0) return nothingToLearn(anchors);
  const { dtype, device } = precisions;
  const weights = Float64Array.from(counts, (count) => (count > 0 ? 1 / (count * having) : 0));
  const average = precisions.mul(present).sum(1).mul(tensor(weights, { dtype, device }));
  return average.sum().neg().add(1);
}

export const smoothAp = lossPart({
  name: 'smooth-ap',
  help: 'average precision of ranks by sigmoids (Brown et al. 2020)',
  usesTuples: false,
  learns: false,
  differs:
    'as the authors, for classes of any size; pytorch-metric-learning 2.9 swaps the number of classes and the images of each, and is right only where both are equal',
  options,
  build: (options) => new SmoothApLoss(options),
});
