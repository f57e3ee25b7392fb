import { eye, scope, type Tensor } from '@conquer/torch';
import { pairwiseDistances } from '../distances/pairwise.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import { Loss } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

export interface TripletAllOptions {
  /** How much farther than the positive a negative has to be; default 0.2. */
  margin?: number;
  /** 'dcesml': the anchor counts as one of its own negatives, which adds a constant push on all positives. */
  compat?: 'dcesml';
}

/** All of its options. */
const optionNames: OptionNames<TripletAllOptions> = { margin: true, compat: true };

/**
 * The mean of [d_ap - d_an + margin]₊ over all triplets of the batch, those without a loss included: "batch
 * all" (Hermans, Beyer, Leibe, "In defense of the triplet loss", 2017), dcesml's TripletAllLoss. Distances
 * are those of `pairwiseDistances`. Memory is B³ numbers.
 */
export class TripletAllLoss extends Loss {
  readonly usesTuples = false;
  readonly margin: number;
  readonly compat: 'dcesml' | undefined;

  constructor(options: TripletAllOptions = {}) {
    super();
    refuseUnknownOptions('TripletAllLoss', options, optionNames);
    const { margin = 0.2, compat } = options;
    this.margin = margin;
    this.compat = compat;
  }

  /** Whether there is a class with two images, and another class. */
  override hasEnough(labels: Int32Array): boolean {
    return hasPositivesAndNegatives(labels);
  }

  forward(embeddings: Tensor, labels: Int32Array): Tensor {
    if (!this.hasEnough(labels))
      throw new Error('triplet-all loss: the batch has no triplet; skip such batches');
    return scope(() => {
      const masks = pairMasks('triplet-all loss', embeddings, labels);
      const distances = pairwiseDistances(embeddings);
      const negatives =
        this.compat === 'dcesml'
          ? masks.negatives.logicalOr(eye(labels.length, { device: embeddings.device }).gt(0))
          : masks.negatives;
      // (anchor, positive, negative)
      const isTriplet = masks.positives.unsqueeze(2).logicalAnd(negatives.unsqueeze(1));
      const losses = distances.unsqueeze(2).sub(distances.unsqueeze(1)).add(this.margin).relu();
      return losses.mul(isTriplet).sum().div(isTriplet.sum());
    });
  }
}
