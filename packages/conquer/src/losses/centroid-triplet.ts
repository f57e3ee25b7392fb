import { scope, type Tensor, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { pairwiseDistances } from '../neighbours/pairwise.js';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
import { meanOfPositive } from './nothing-to-learn.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  margin: z
    .number()
    .min(0)
    .default(0.3)
    .describe('how much farther than its own centroid another has to be from an image'),
  squared: z.boolean().default(true).describe('squared distances, as published'),
});

export type CentroidTripletOptions = z.input<typeof options>;

/** Least squared distance of which the root is taken. */
const LEAST = 1e-12;

/**
 * Centroid triplet loss (Wieczorek, Rychalska, Dąbrowski, "On the unreasonable effectiveness of centroids in image
 * retrieval", ICONIP 2021): each anchor meets the mean of its class, without its own image, and the mean of each other class
 * of the reference set; the mean of the [|a - c_P|² - |a - c_N|² + margin]₊ that are not 0.
 */
export class CentroidTripletLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly margin: number;
  readonly squared: boolean;

  constructor(given: CentroidTripletOptions = {}) {
    super();
    const { margin, squared } = withDefaults('CentroidTripletLoss', options, given);
    this.margin = margin;
    this.squared = squared;
  }

  override semihardMargin(): number {
    return this.margin;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    return scope(() => {
      checkPair('centroid-triplet loss', anchors, reference);
      const { positives } = pairMasks('centroid-triplet loss', anchors, reference);
      const x = anchors.embeddings;
      const counts = positives.sum(1, true);
      const own = positives
        .to(x.dtype)
        .matmul(reference.embeddings)
        .div(counts.clamp({ min: 1 }));
      const square = x.sub(own).square().sum(1, true);
      const toOwn = this.squared ? square : square.clamp({ min: LEAST }).sqrt();
      const { centroids, isOther } = centroidsOf(anchors, reference);
      const toOthers = pairwiseDistances(x, { to: centroids, squared: this.squared, eps: LEAST });
      const losses = toOwn.sub(toOthers).add(this.margin).relu();
      return meanOfPositive(losses.mul(isOther.logicalAnd(counts.gt(0))));
    });
  }
}

/** The means of a set's C classes, (C, D), and which of them are not the anchors' own, (A, C) bool. */
function centroidsOf(anchors: Rows, reference: Rows): { centroids: Tensor; isOther: Tensor } {
  const classes = [...new Set(reference.labels)];
  const placeOf = new Map(classes.map((label, place) => [label, place]));
  const size = reference.labels.length;
  const shares = new Float64Array(classes.length * size);
  const counts = new Int32Array(classes.length);
  for (const label of reference.labels) counts[placeOf.get(label)!]!++;
  for (const [row, label] of reference.labels.entries()) {
    const place = placeOf.get(label)!;
    shares[place * size + row] = 1 / counts[place]!;
  }
  const { dtype, device } = reference.embeddings;
  const means = tensor(shares, { shape: [classes.length, size], dtype, device });
  const labels = tensor(anchors.labels, { dtype: 'int64', device }).unsqueeze(1);
  return {
    centroids: means.matmul(reference.embeddings),
    isOther: labels.ne(tensor(Int32Array.from(classes), { dtype: 'int64', device })),
  };
}

export const centroidTriplet = lossPart({
  name: 'centroid-triplet',
  help: "each image between its own class's mean and the others' (Wieczorek et al. 2021)",
  usesTuples: false,
  learns: false,
  differs: 'of the paper, the mean over triplets with a loss; not in pytorch-metric-learning 2.9',
  options,
  build: (options) => new CentroidTripletLoss(options),
});
