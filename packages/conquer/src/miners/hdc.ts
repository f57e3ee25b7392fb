import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Rows } from '../rows.js';
import type { Pairs } from '../tuples.js';
import { forEachPair, PairList } from './all-pairs.js';
import type { Miner } from './miner.js';

const options = z.strictObject({
  filterShare: z
    .number()
    .min(1e-6)
    .max(1)
    .default(0.5)
    .describe('share of the pairs of each kind that is taken, the hardest'),
});

export type HdcOptions = z.input<typeof options>;

/**
 * The hardest pairs of each kind over the whole batch (Yuan, Yang, Zhang, "Hard-aware deeply cascaded embedding", ICCV
 * 2017): the farthest positives and the nearest negatives, rounded up. Of equal distances the first pair is taken.
 */
export class HdcMiner implements Miner {
  readonly filterShare: number;

  constructor(given: HdcOptions = {}) {
    this.filterShare = withDefaults('HdcMiner', options, given).filterShare;
  }

  mine(anchors: Rows, reference: Rows = anchors): Pairs {
    checkPair('hdc miner', anchors, reference, true);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings, 0);
    const size = reference.labels.length;
    // Places in the matrix.
    const [positives, negatives]: [number[], number[]] = [[], []];
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      (isPositive ? positives : negatives).push(anchor * size + row);
    });
    positives.sort((a, b) => distances[b]! - distances[a]! || a - b);
    negatives.sort((a, b) => distances[a]! - distances[b]! || a - b);
    const found = new PairList();
    for (const [isPositive, pairs] of [
      [true, positives],
      [false, negatives],
    ] as const) {
      for (const place of pairs.slice(0, Math.ceil(this.filterShare * pairs.length)))
        found.add(isPositive, Math.floor(place / size), place % size);
    }
    return found.pairs();
  }
}

export const hdc = part({
  name: 'hdc',
  help: 'the hardest share of the positive and of the negative pairs (Yuan et al. 2017)',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options,
  build: (options) => new HdcMiner(options),
});
