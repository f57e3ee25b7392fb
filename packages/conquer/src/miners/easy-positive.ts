import type { Tensor } from '@conquer/torch';
import { z } from 'zod';
import { checkBatch } from '../batch-labels.js';
import { distanceMatrix } from '../distances/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';
import { meanPositives, positivesOf } from './positives.js';

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

  mine(embeddings: Tensor, labels: Int32Array): Tuples {
    checkBatch('easy-positive miner', embeddings, labels);
    return easyPositiveTuples(distanceMatrix(embeddings), labels, this.cutoff);
  }
}

/** @param distances (B, B), row-major */
export function easyPositiveTuples(distances: Float64Array, labels: Int32Array, cutoff: number): Tuples {
  const size = labels.length;
  const numNegatives = Math.max(1, Math.floor(meanPositives(labels)));
  const anchors: number[] = [];
  const positives: number[] = [];
  const negatives: number[] = [];
  for (let anchor = 0; anchor < size; anchor++) {
    const own = positivesOf(anchor, labels);
    const row = distances.subarray(anchor * size, (anchor + 1) * size);
    // The nearest so far, nearest first.
    const nearest: number[] = [];
    for (let other = 0; other < size; other++) {
      const distance = row[other] as number;
      if (labels[other] === labels[anchor] || distance < cutoff) continue;
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
