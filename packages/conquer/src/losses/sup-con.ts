import { scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';
import { classMembers } from './class-members.js';
import { anyDistance, type DistanceName, distanceOption, similaritiesBy } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { logSumExpWithout, maskedLogSumExp } from './masked-log-sum-exp.js';
import { minedOption } from './mined-option.js';
import { meanOfPositive, nothingToLearn } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, pairMasks, sameImage } from './pair-masks.js';

const options = z.strictObject({
  temperature: z
    .number()
    .min(1e-6)
    .default(0.1)
    .describe("divides the similarities; the authors' code: 0.07"),
  form: z
    .enum(['paper', 'authors'])
    .default('paper')
    .describe('authors: times temperature / 0.07, mean over all anchors, one class alone is allowed'),
  distance: distanceOption('cosine', anyDistance),
  mined: minedOption,
});

export type SupConOptions = z.input<typeof options>;

/** The temperature to which the authors' code scales the loss of any other. */
const BASE_TEMPERATURE = 0.07;

/**
 * Supervised contrastive loss (Khosla, Teterwak, Wang, Sarna, Tian, Isola, Maschinot, Liu, Krishnan, NeurIPS 2020, equation
 * 2, "out"): for each anchor
 *
 *     -1/|P| Σ_{p ∈ P} log(exp(s_p / t) / Σ_{a ∈ P ∪ N} exp(s_a / t))
 *
 * and the mean over the anchors with a loss. Without a positive or without a negative pair in the batch it is 0.
 */
export class SupConLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference = true;
  readonly temperature: number;
  readonly form: 'paper' | 'authors';
  readonly distance: DistanceName;

  constructor(given: SupConOptions = {}) {
    super();
    const { temperature, form, distance, mined } = withDefaults('SupConLoss', options, given);
    this.temperature = temperature;
    this.form = form;
    this.distance = distance;
    this.usesTuples = mined;
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class, and of another unless as the authors. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    if (this.form === 'paper') return hasPositivesAndNegatives(anchors, reference);
    return countPairs(anchors, reference).positives.some((count) => count > 0);
  }

  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      checkPair('sup-con loss', anchors, reference, true);
      if (!this.hasPairs(anchors, reference, mined)) return nothingToLearn(anchors);
      const similarities = similaritiesBy(this.distance, anchors, reference, this.temperature);
      const { all, ofPositives, someHave } =
        mined === null
          ? ofAllPairs(similarities, anchors, reference)
          : ofMined(similarities, anchors, reference, mined);
      const losses = all.sub(ofPositives);
      const counted = someHave === null ? losses : losses.where(someHave, 0);
      if (this.form === 'paper') return meanOfPositive(counted);
      return counted.mean().mul(this.temperature / BASE_TEMPERATURE);
    });
  }

  private hasPairs(anchors: Rows, reference: Rows, mined: Mined | null): boolean {
    if (this.form === 'authors') return true;
    const { positives, negatives } = mined ? asPairs(mined) : countPairs(anchors, reference);
    const some = (numbers: Int32Array) => (mined ? numbers.length > 0 : numbers.some((count) => count > 0));
    return some(positives) && some(negatives);
  }
}

/** Of each anchor, (A,). */
interface Terms {
  /** log Σ exp over positives and negatives. */
  all: Tensor;
  /** The mean of the positives' similarities. */
  ofPositives: Tensor;
  /** Bool, which have a positive; null: all. */
  someHave: Tensor | null;
}

function ofAllPairs(similarities: Tensor, anchors: Rows, reference: Rows): Terms {
  const { rows, present, isFull } = classMembers(anchors, reference, false);
  const all = logSumExpWithout(similarities, sameImage(anchors, reference));
  const own = similarities.gather(1, rows);
  if (isFull) return { all, ofPositives: own.mean(1), someHave: null };
  const counts = present.sum(1);
  const ofPositives = own
    .mul(present)
    .sum(1)
    .div(counts.clamp({ min: 1 }));
  return { all, ofPositives, someHave: counts.gt(0) };
}

function ofMined(similarities: Tensor, anchors: Rows, reference: Rows, mined: Mined): Terms {
  const { positives, negatives } = pairMasks('sup-con loss', anchors, reference, mined);
  const counts = positives.sum(1);
  const ofPositives = similarities
    .mul(positives)
    .sum(1)
    .div(counts.clamp({ min: 1 }));
  const all = maskedLogSumExp(similarities, positives.logicalOr(negatives));
  return { all, ofPositives, someHave: counts.gt(0) };
}

export const supCon = lossPart({
  name: 'sup-con',
  help: 'supervised contrastive loss (Khosla et al. 2020)',
  usesTuples: false,
  learns: false,
  differs:
    "pytorch-metric-learning's mean over the anchors with a loss; `form: authors` is the authors' code: times temperature / 0.07, mean over all anchors, one class alone allowed, and their temperature is 0.07",
  options,
  build: (options) => new SupConLoss(options),
});
