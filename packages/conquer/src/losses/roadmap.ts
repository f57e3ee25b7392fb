import { noGrad, rowProducts, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { classMembers } from './class-members.js';
import { Loss, lossPart } from './loss.js';
import { meanOfPositive } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, notNegative } from './pair-masks.js';
import { withoutAveragePrecision } from './smooth-ap.js';

const options = z.strictObject({
  temperature: z.number().min(1e-6).default(0.01).describe('t of the sigmoid of negatives below a positive'),
  slope: z.number().min(0).default(100).describe('of the line for negatives far above a positive'),
  delta: z.number().min(0).default(0.05).describe('δ: from how far above on a negative counts by the line'),
  offset: z
    .number()
    .nullable()
    .default(1.44)
    .describe('where the line begins at δ; null: where the sigmoid is there'),
  start: z.number().default(0.5).describe('added to the sigmoid of negatives above a positive'),
  positiveMargin: z.number().default(0.9).describe('calibration: the similarity positive pairs are to have'),
  negativeMargin: z.number().default(0.6).describe('calibration: what negative pairs are to stay below'),
  supApWeight: z.number().min(0).default(1).describe('weight of the ranking term'),
  calibrationWeight: z.number().min(0).default(1).describe('weight of the calibration'),
});

/** A similarity below all. */
const FAR_BELOW = -1e4;

export type RoadmapOptions = z.input<typeof options>;

/**
 * ROADMAP (Ramzi, Thome, Rambour, Audebert, Bitot, "Robust and decomposable average precision for image retrieval", NeurIPS
 * 2021): SupAP, an upper bound of 1 - AP, and a calibration that keeps it decomposable. SupAP is Smooth-AP in which another
 * image of the class counts by the step function, without a gradient, and a negative at x = s_k - s_j above a positive by
 *
 *     σ(x/t) for x ≤ 0, start + σ(x/t) up to δ, slope (x - δ) + offset beyond
 *
 * Calibration: the mean of the [0.9 - s_p]₊ and that of the [s_n - 0.6]₊ that are not 0. Memory is A M N numbers, M of the
 * largest class.
 */
export class RoadmapLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly temperature: number;
  readonly slope: number;
  readonly delta: number;
  readonly offset: number;
  readonly start: number;
  readonly positiveMargin: number;
  readonly negativeMargin: number;
  readonly supApWeight: number;
  readonly calibrationWeight: number;

  constructor(given: RoadmapOptions = {}) {
    super();
    const all = withDefaults('RoadmapLoss', options, given);
    this.temperature = all.temperature;
    this.slope = all.slope;
    this.delta = all.delta;
    this.offset = all.offset ?? all.start + 1 / (1 + Math.exp(-all.delta / all.temperature));
    this.start = all.start;
    this.positiveMargin = all.positiveMargin;
    this.negativeMargin = all.negativeMargin;
    this.supApWeight = all.supApWeight;
    this.calibrationWeight = all.calibrationWeight;
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
      const alike = notNegative('roadmap loss', anchors, reference);
      const similarities = rowProducts(anchors.embeddings, reference.embeddings);
      // In the place of what is no negative, so far below all that it counts nothing.
      const ofNegatives = similarities.maskedFill(alike, FAR_BELOW);
      const calibration = this.calibration(similarities, ofNegatives, anchors, reference);
      if (this.supApWeight === 0) return calibration;
      const members = classMembers(anchors, reference, true);
      const own = similarities.gather(1, members.rows);
      const ranked = own.detach();
      // (A, M): how many of the class are not below, the image itself among them.
      const inClass = ranked
        .unsqueeze(1)
        .ge(ranked.unsqueeze(2))
        .logicalAnd(members.present.unsqueeze(1))
        .sum(2);
      const above = this.above(ofNegatives.unsqueeze(1).sub(own.unsqueeze(2)));
      const precisions = above.sum(2).add(inClass).reciprocal().mul(inClass);
      const ranking = withoutAveragePrecision(precisions, members, anchors);
      return calibration.add(ranking.mul(this.supApWeight));
    });
  }

  private calibration(similarities: Tensor, ofNegatives: Tensor, anchors: Rows, reference: Rows): Tensor {
    const { rows, present } = classMembers(anchors, reference, false);
    const far = similarities.gather(1, rows).neg().add(this.positiveMargin).relu().mul(present);
    const near = ofNegatives.sub(this.negativeMargin).relu();
    return meanOfPositive(far).add(meanOfPositive(near)).mul(this.calibrationWeight);
  }

  /** What a negative counts that is more similar by x. */
  private above(x: Tensor): Tensor {
    const low = x.div(this.temperature).sigmoid();
    const isAbove = noGrad(() => x.sign().clamp_({ min: 0 }).mul_(this.start));
    const line = x.mul(this.slope).add(this.offset - this.slope * this.delta);
    return line.where(x.detach().gt(this.delta), low.add(isAbove));
  }
}

export const roadmap = lossPart({
  name: 'roadmap',
  help: 'a bound of average precision, and calibrated similarities (Ramzi et al. 2021)',
  usesTuples: false,
  learns: false,
  differs: 'as the authors; not in pytorch-metric-learning',
  options,
  build: (options) => new RoadmapLoss(options),
});
