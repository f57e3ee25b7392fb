import { noGrad, scope, tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { refuseNonFiniteRows } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import { areAlike, type Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import { forEachPair } from './all-pairs.js';
import type { Miner } from './miner.js';

const options = z.strictObject({
  angleDegrees: z
    .number()
    .min(0)
    .max(90)
    .default(20)
    .describe('triplets with a larger angle at the negative are taken'),
});

export type AngularMinerOptions = z.input<typeof options>;

/**
 * All triplets with an angle at the negative beyond a bound, as the angular loss has it (Wang, Zhou, Wen, Liu, Lin, ICCV
 * 2017): atan(|a - p| / (2 |n - (a + p) / 2|)).
 */
export class AngularMiner implements Miner {
  readonly angleDegrees: number;

  constructor(given: AngularMinerOptions = {}) {
    this.angleDegrees = withDefaults('AngularMiner', options, given).angleDegrees;
  }

  mine(anchors: Rows, reference: Rows = anchors): Tuples {
    checkPair('angular miner', anchors, reference, true);
    refuseNonFiniteRows(anchors.embeddings, 'batch');
    if (reference !== anchors) refuseNonFiniteRows(reference.embeddings, 'reference set');
    const pairs: [anchor: number, positive: number][] = [];
    forEachPair(anchors, reference, (anchor, row, isPositive) => {
      if (isPositive) pairs.push([anchor, row]);
    });
    const places = new Map(
      [...new Set(pairs.map(([, positive]) => positive))].map((row, place) => [row, place]),
    );
    const found: [anchor: number, positive: number, negative: number][] = [];
    if (pairs.length > 0) {
      const between = productsOf(anchors, reference, [...places.keys()]);
      const size = reference.labels.length;
      const bound = Math.tan((this.angleDegrees * Math.PI) / 180);
      for (const [anchor, positive] of pairs) {
        const toAnchor = anchor * size;
        const toPositive = places.get(positive)! * size;
        const square = Math.max(
          0,
          between.ofAnchors[anchor]! +
            between.ofReference[positive]! -
            2 * between.toAnchors[toAnchor + positive]!,
        );
        const { toAnchors, toPositives, ofAnchors, ofReference } = between;
        // |(a + p) / 2|²
        const centre =
          (ofAnchors[anchor]! + ofReference[positive]! + 2 * toAnchors[toAnchor + positive]!) / 4;
        for (let row = 0; row < size; row++) {
          if (anchors.imageIds[anchor] === reference.imageIds[row]) continue;
          if (areAlike(anchors, anchor, reference, row)) continue;
          const fromCentre = Math.max(
            0,
            ofReference[row]! - toAnchors[toAnchor + row]! - toPositives[toPositive + row]! + centre,
          );
          if (Math.sqrt(square) > bound * 2 * Math.sqrt(fromCentre)) found.push([anchor, positive, row]);
        }
      }
    }
    return {
      anchors: Int32Array.from(found, ([anchor]) => anchor),
      positives: Int32Array.from(found, ([, positive]) => positive),
      negatives: Int32Array.from(found, ([, , negative]) => negative),
    };
  }
}

/** Inner products with the reference set: of anchors (A, N), of these rows of it (P, N), and of all with themselves. */
function productsOf(anchors: Rows, reference: Rows, rows: number[]) {
  return scope(() =>
    noGrad(() => {
      const [x, y] = [anchors.embeddings, reference.embeddings];
      const positives = y.indexSelect(0, tensor(Int32Array.from(rows), { dtype: 'int64', device: y.device }));
      return {
        toAnchors: x.matmul(y.t()).toNumbers(),
        toPositives: positives.matmul(y.t()).toNumbers(),
        ofAnchors: x.square().sum(1).toNumbers(),
        ofReference: y.square().sum(1).toNumbers(),
      };
    }),
  );
}

export const angularMiner = part({
  name: 'angular',
  help: 'all triplets with a large angle at the negative (Wang et al. 2017)',
  differs: "finds what pytorch-metric-learning's of this name finds",
  options,
  build: (options) => new AngularMiner(options),
});
