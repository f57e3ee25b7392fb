import { rowProducts, scope, type Tensor, zeros } from '@conquer-dml/torch';
import { z } from 'zod';
import { withDefaults } from '../part.js';
import type { Labelled, Rows } from '../rows.js';
import { Loss, lossPart } from './loss.js';
import { hasPositivesAndNegatives, pairMasks } from './pair-masks.js';

const options = z.strictObject({
  numBins: z
    .int()
    .min(2)
    .default(65)
    .describe('nodes of the histograms, evenly spaced from -1 to 1 with one at each end'),
});

export type HistogramLossOptions = z.input<typeof options>;

/**
 * Histogram loss (Ustinova and Lempitsky, "Learning deep embeddings with histogram loss", NIPS 2016): how likely a
 * random negative pair is more similar than a random positive pair, Σ_r h⁻_r Σ_{q ≤ r} h⁺_q, by histograms of the
 * batch's cosine similarities into which each pair goes by linear interpolation between two nodes.
 */
export class HistogramLoss extends Loss {
  readonly usesTuples = false;
  readonly usesReference = true;
  readonly numBins: number;

  constructor(given: HistogramLossOptions = {}) {
    super();
    this.numBins = withDefaults('HistogramLoss', options, given).numBins;
  }

  override get takesSeveralLabels(): boolean {
    return true;
  }

  /** Whether an anchor has an image of its class and one of another to be compared with. */
  override hasEnough(anchors: Labelled, reference: Labelled): boolean {
    return hasPositivesAndNegatives(anchors, reference);
  }

  forward(anchors: Rows, reference: Rows): Tensor {
    if (!this.hasEnough(anchors, reference))
      throw new Error('histogram loss: the batch has no positive and negative pair; skip such batches');
    return scope(() => {
      const masks = pairMasks('histogram loss', anchors, reference);
      const similarities = rowProducts(anchors.embeddings, reference.embeddings);
      const positives = this.histogram(similarities.maskedSelect(masks.positives));
      const negatives = this.histogram(similarities.maskedSelect(masks.negatives));
      return negatives.mul(positives.cumsum(0)).sum();
    });
  }

  /** Similarities (P,) → shares of the nodes (numBins,), which sum to 1. */
  private histogram(similarities: Tensor): Tensor {
    const { dtype, device } = similarities;
    // In steps from the first node. Rounding puts the similarity of equal embeddings beyond 1.
    const position = similarities
      .clamp({ min: -1, max: 1 })
      .add(1)
      .mul((this.numBins - 1) / 2);
    const lower = position
      .detach()
      .floor()
      .clamp({ max: this.numBins - 2 });
    const share = position.sub(lower);
    const node = lower.to('int64');
    return zeros([this.numBins], { dtype, device })
      .indexAdd_(0, node, share.neg().add(1))
      .indexAdd_(0, node.add(1), share)
      .div(similarities.numel());
  }
}

export const histogram = lossPart({
  name: 'histogram',
  help: 'how likely a negative pair is more similar than a positive one (Ustinova and Lempitsky 2016)',
  usesTuples: false,
  learns: false,
  options,
  build: (options) => new HistogramLoss(options),
});
