import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { distanceMatrix } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';
import { meanOf, positivesOf } from './positives.js';

const options = z.strictObject({
  cutoff: z.number().min(0).default(0.5).describe('negatives nearer than this are left out'),
});

export type EasyPositiveOptions = z.input<typeof options>;

/**
 * dcesml's "easy peasy" miner, without any chance: an anchor's negatives are the nearest images of other
 * classes at a distance of at least `cutoff`, as many as an anchor has positives on average (rounded down, at
 * least one). They are paired with its positives, both in the order of the batch; what is left over is dropped.
 *
 * Where fewer negatives are far enough, there are fewer tuples (dcesml then takes the anchor itself or one of
 * its positives for a negative).
 */
export class EasyPositiveMiner implements Miner {
  readonly cutoff: number;

  constructor(given: EasyPositiveOptions = {}) {
    this.cutoff = withDefaults('EasyPositiveMiner', options, given).cutoff;
  }

  mine(anchors: Rows, reference: Rows = anchors): Tuples {
    checkPair('easy-positive miner', anchors, reference);
    const distances = distanceMatrix(anchors.embeddings, reference.embeddings);
    return easyPositiveTuples(distances, anchors, reference, this.cutoff);
  }
}

/** @param distances (A, N), row-major */
function easyPositiveTuples(
  distances: Float64Array,
  of: Labelled,
  reference: Labelled,
  cutoff: number,
): Tuples {
  const size = reference.labels.length;
  const numNegatives = Math.max(1, Math.floor(meanOf(countPairs(of, reference).positives)));
  const anchors: number[] = [];
  const positives: number[] = [];
  const negatives: number[] = [];
  for (const [anchor, label] of of.labels.entries()) {
    const own = positivesOf(anchor, of, reference);
    const row = distances.subarray(anchor * size, (anchor + 1) * size);
    // The nearest so far, nearest first.
    const nearest: number[] = [];
    for (let other = 0; other < size; other++) {
      const distance = row[other] as number;
      if (reference.labels[other] === label || distance < cutoff) continue;
      let place = nearest.length;
      while (place > 0 && (row[nearest[place - 1] as number] as number) > distance) place--;
      if (place === numNegatives) continue;
      nearest.splice(place, 0, other);
      nearest.length = Math.min(nearest.length, numNegatives);
    }
    nearest.sort((a, b) => a - b);
    const count = Math.min(own.length, nearest.length);
    for (let i = 0; i < count; i++) {
      anchors.push(anchor);
      positives.push(own[i] as number);
      negatives.push(nearest[i] as number);
    }
  }
  return {
    anchors: Int32Array.from(anchors),
    positives: Int32Array.from(positives),
    negatives: Int32Array.from(negatives),
  };
}

export const easyPositive = part({
  name: 'easy-positive',
  help: "the authors' miner without chance: the nearest negatives beyond a distance",
  options,
  build: (options) => new EasyPositiveMiner(options),
});
