import { noGrad, scope } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { refuseNonFiniteRows } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Pairs } from '../tuples.js';
import { forEachPair, PairList } from './all-pairs.js';
import type { Miner } from './miner.js';

const options = z.strictObject({
  epsilon: z
    .number()
    .min(0)
    .default(0.1)
    .describe('ε: how much easier than the hardest pair of the other kind a pair may be'),
  ownImageBounds: z
    .boolean()
    .default(false)
    .describe(
      "an anchor's own image in a memory is a positive for the bounds, as in pytorch-metric-learning",
    ),
});

export type MultiSimilarityMinerOptions = z.input<typeof options>;

/**
 * The mining of the multi-similarity loss (Wang, Han, Huang, Dong, Scott, CVPR 2019, equations 9 and 10) by cosine
 * similarities s: of each anchor the negatives with s + ε above its least positive, the positives with s - ε below its
 * largest negative. An anchor without a positive or without a negative has none.
 */
export class MultiSimilarityMiner implements Miner {
  readonly epsilon: number;
  readonly ownImageBounds: boolean;

  constructor(given: MultiSimilarityMinerOptions = {}) {
    const { epsilon, ownImageBounds } = withDefaults('MultiSimilarityMiner', options, given);
    this.epsilon = epsilon;
    this.ownImageBounds = ownImageBounds;
  }

  mine(anchors: Rows, reference: Rows = anchors): Pairs {
    checkPair('multi-similarity miner', anchors, reference, true);
    refuseNonFiniteRows(anchors.embeddings, 'batch');
    if (reference !== anchors) refuseNonFiniteRows(reference.embeddings, 'reference set');
    const similarities = scope(() =>
      noGrad(() => anchors.embeddings.matmul(reference.embeddings.t()).toNumbers()),
    );
    const size = reference.labels.length;
    const leastPositive = new Float64Array(anchors.labels.length).fill(Infinity);
    const mostNegative = new Float64Array(anchors.labels.length).fill(-Infinity);
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      const similarity = similarities[anchor * size + row]!;
      if (isPositive) leastPositive[anchor] = Math.min(leastPositive[anchor]!, similarity);
      else mostNegative[anchor] = Math.max(mostNegative[anchor]!, similarity);
    });
    if (this.ownImageBounds && reference !== anchors)
      this.includeOwn(leastPositive, similarities, anchors, reference);
    const found = new PairList();
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      const similarity = similarities[anchor * size + row]!;
      const isHard = isPositive
        ? similarity - this.epsilon < mostNegative[anchor]!
        : similarity + this.epsilon > leastPositive[anchor]!;
      if (isHard) found.add(isPositive, anchor, row);
    });
    return found.pairs();
  }

  private includeOwn(
    leastPositive: Float64Array,
    similarities: Float64Array,
    anchors: Rows,
    reference: Rows,
  ): void {
    const size = reference.labels.length;
    for (const [anchor, image] of anchors.imageIds.entries()) {
      for (const [row, other] of reference.imageIds.entries())
        if (image === other)
          leastPositive[anchor] = Math.min(leastPositive[anchor]!, similarities[anchor * size + row]!);
    }
  }
}

export const multiSimilarityMiner = part({
  name: 'multi-similarity',
  help: 'pairs nearly as hard as the hardest of the other kind (Wang et al. 2019)',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options,
  build: (options) => new MultiSimilarityMiner(options),
});
