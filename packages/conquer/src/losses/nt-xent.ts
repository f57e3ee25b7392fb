import { UserError } from '@conquer-dml/run';
import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { withDefaults } from '../part.js';
import { batchRows, type Labelled, type Rows } from '../rows.js';
import { asPairs, type Mined } from '../tuples.js';
import { classMembers } from './class-members.js';
import { anyDistance, type DistanceName, distanceOption, similaritiesBy } from './distances.js';
import { Loss, lossPart } from './loss.js';
import { logSumExpWithout, maskedLogSumExp } from './masked-log-sum-exp.js';
import { minedOption } from './mined-option.js';
import { nothingToLearn } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, listedPairs, notNegative } from './pair-masks.js';

const options = z.strictObject({
  temperature: z.number().min(1e-6).default(0.07).describe('divides the similarities'),
  positives: z
    .enum(['class', 'two-views', 'first-to-second'])
    .default('class')
    .describe(
      'all of a class, or the two halves of a batch as views of the same images (SimCLR), or one way',
    ),
  distance: distanceOption('cosine', anyDistance),
  mined: minedOption,
});

export type NtXentOptions = z.input<typeof options>;

/**
 * NT-Xent, also InfoNCE (Sohn 2016; van den Oord, Li, Vinyals 2018; Chen, Kornblith, Norouzi, Hinton, "A simple framework
 * for contrastive learning of visual representations", ICML 2020): the mean over the positive pairs of
 *
 *     -log(exp(s_p / t) / (exp(s_p / t) + Σ_n exp(s_n / t)))
 *
 * n over the anchor's negatives; its other positives are not in the denominator. Of two views the rows b and b + B/2 of a
 * batch are the positive pairs, as `data.replicas: 2` lays them, whatever the labels, and all other rows are negatives; one way,
 * the first half are the anchors and the second the others. Without a positive or without a negative pair it is 0.
 */
export class NtXentLoss extends Loss {
  readonly usesTuples: boolean;
  readonly usesReference: boolean;
  readonly temperature: number;
  readonly positives: 'class' | 'two-views' | 'first-to-second';
  readonly distance: DistanceName;

  constructor(given: NtXentOptions = {}) {
    super();
    const { temperature, positives, distance, mined } = withDefaults('NtXentLoss', options, given);
    this.temperature = temperature;
    this.positives = positives;
    this.distance = distance;
    this.usesTuples = mined;
    this.usesReference = positives === 'class';
  }

  override get takes() {
    return 'pairs' as const;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has a positive and a negative to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return this.positives === 'class'
      ? hasPositivesAndNegatives(anchors, reference)
      : anchors.labels.length >= 4;
  }

  /** @throws UserError of two views, for a batch without halves */
  forward(anchors: Rows, reference: Rows, mined: Mined | null = null): Tensor {
    return scope(() => {
      if (this.positives === 'class') return this.ofPairs(anchors, reference, mined);
      const size = anchors.labels.length;
      if (size % 2 !== 0)
        throw new UserError(`nt-xent loss of two views: expected a batch of two halves, got ${size} rows`);
      const half = size / 2;
      const views = anchors.labels.map((_, row) => row % half);
      if (this.positives === 'two-views') {
        const rows = batchRows(anchors.embeddings, views);
        return this.ofPairs(rows, rows, null);
      }
      const halfOf = (start: number) => ({
        embeddings: anchors.embeddings.narrow(0, start, half),
        labels: views.subarray(0, half),
        imageIds: anchors.labels.map((_, row) => row).subarray(start, start + half),
      });
      return this.ofPairs(halfOf(0), halfOf(half), null);
    });
  }

  private ofPairs(anchors: Rows, reference: Rows, mined: Mined | null): Tensor {
    checkPair('nt-xent loss', anchors, reference, true);
    const similarities = similaritiesBy(this.distance, anchors, reference, this.temperature);
    const { device } = anchors.embeddings;
    const index = (rows: Int32Array) => tensor(rows, { dtype: 'int64', device });
    if (mined !== null) {
      const pairs = asPairs(mined);
      if (pairs.positives.length === 0 || pairs.negatives.length === 0) return nothingToLearn(anchors);
      const counts = listedPairs(anchors, reference, pairs.negativeAnchors, pairs.negatives);
      const toNegatives = maskedLogSumExp(similarities.add(counts.clamp({ min: 1 }).log()), counts.gt(0));
      const size = reference.labels.length;
      const flat = pairs.positives.map((row, i) => pairs.positiveAnchors[i]! * size + row);
      const toPositive = similarities.view([-1]).indexSelect(0, index(flat));
      const ofAnchors = toNegatives.indexSelect(0, index(pairs.positiveAnchors));
      return aten.logaddexp(toPositive, ofAnchors).sub(toPositive).mean();
    }
    const { rows, present, counts, isFull } = classMembers(anchors, reference, false);
    const numPositives = counts.reduce((sum, count) => sum + count, 0);
    const others = notNegative('nt-xent loss', anchors, reference);
    const toNegatives = logSumExpWithout(similarities, others).unsqueeze(1);
    const toPositives = similarities.gather(1, rows);
    const losses = aten.logaddexp(toPositives, toNegatives).sub(toPositives);
    // Without a negative pair each of them is 0.
    return (isFull ? losses : losses.mul(present)).sum().div(Math.max(1, numPositives));
  }
}

export const ntXent = lossPart({
  name: 'nt-xent',
  help: 'InfoNCE: each positive pair against the negatives of its anchor (Chen et al. 2020)',
  usesTuples: false,
  learns: false,
  differs:
    "of classes as pytorch-metric-learning; `positives: two-views` is SimCLR's and pytorch-metric-learning's SelfSupervisedLoss, `first-to-second` its `symmetric=False`",
  options,
  build: (options) => new NtXentLoss(options),
});
