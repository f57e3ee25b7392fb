import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Pairs } from '../tuples.js';
import { forEachPair, PairList } from './all-pairs.js';
import type { Miner } from './miner.js';

const options = z.strictObject({
  posMargin: z.number().min(0).default(0.2).describe('positives farther than this are taken'),
  negMargin: z.number().min(0).default(0.8).describe('negatives nearer than this are taken'),
});

export type PairMarginOptions = z.input<typeof options>;

/** The pairs that a contrastive loss of these margins has a loss for: positives beyond one distance, negatives within another. */
export class PairMarginMiner implements Miner {
  readonly posMargin: number;
  readonly negMargin: number;

  constructor(given: PairMarginOptions = {}) {
    const { posMargin, negMargin } = withDefaults('PairMarginMiner', options, given);
    this.posMargin = posMargin;
    this.negMargin = negMargin;
  }

  mine(anchors: Rows, reference: Rows = anchors): Pairs {
    checkPair('pair-margin miner', anchors, reference, true);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings, 0);
    const size = reference.labels.length;
    const found = new PairList();
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      const distance = distances[anchor * size + row]!;
      if (isPositive ? distance > this.posMargin : distance < this.negMargin)
        found.add(isPositive, anchor, row);
    });
    return found.pairs();
  }
}

export const pairMargin = part({
  name: 'pair-margin',
  help: 'positive pairs beyond a distance, negative pairs within another',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options,
  build: (options) => new PairMarginMiner(options),
});
