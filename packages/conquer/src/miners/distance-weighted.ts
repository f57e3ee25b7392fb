import type { Tensor } from '@conquer/torch';
import { distanceMatrix } from '../distances/pairwise.js';
import type { Random } from '../random.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';
import { largestClass, meanPositives, positivesOf } from './positives.js';

/** A distance, or one for each class of the anchor. */
export type Cutoff = number | ((anchorLabel: number) => number);

/** What knows the distance from which on a negative has no loss at present: the margin loss, whose beta may move. */
export interface CutoffSource {
  zeroLossDistance(): Cutoff;
}

export interface DistanceWeightedOptions {
  random: Random;
  /** Distances below this count as this: nearer negatives give gradients of too high a variance. */
  cutoff?: number;
  /**
   * From this distance on a negative has no loss, so it is drawn only when nothing better is left. With the
   * margin loss it is beta + margin: give the loss itself, and it is asked for every batch. Infinity turns it off.
   */
  nonZeroLossCutoff?: Cutoff | CutoffSource;
}

/** The weight of a negative without loss. */
const FAR_WEIGHT = 1e-6;
/** Added to every weight, so that none underflows to nothing. */
const WEIGHT_FLOOR = 1e-9;

/**
 * Distance-weighted sampling of negatives (Wu, Manmatha, Smola, Krähenbühl, "Sampling matters in deep
 * embedding learning", ICCV 2017): a negative at distance d is drawn with a probability proportional to
 * 1 / q(d), where q is the density of the distance between two random points of the unit sphere, so that the
 * drawn distances are spread evenly.
 *
 * Each anchor that has a positive draws as many negatives as an anchor has positives on average, without
 * replacement, and pairs them with its positives; where the numbers differ, its positives are subsampled or
 * repeated.
 */
export class DistanceWeightedMiner implements Miner {
  readonly cutoff: number;
  nonZeroLossCutoff: Cutoff | CutoffSource;
  private readonly random: Random;

  constructor({ random, cutoff = 0.5, nonZeroLossCutoff = 1.4 }: DistanceWeightedOptions) {
    this.random = random;
    this.cutoff = cutoff;
    this.nonZeroLossCutoff = nonZeroLossCutoff;
  }

  mine(embeddings: Tensor, labels: Int32Array): Tuples {
    const distances = distanceMatrix(embeddings);
    const far = this.nonZeroLossCutoff;
    const weights = distanceWeights(distances, labels, {
      dimensions: embeddings.size(1),
      cutoff: this.cutoff,
      nonZeroLossCutoff: typeof far === 'object' ? far.zeroLossDistance() : far,
    });
    return this.sample(weights, labels);
  }

  /** @param weights (B, B); those of pairs of one class are not used */
  sample(weights: Float64Array, labels: Int32Array): Tuples {
    const numNegatives = negativesPerAnchor(labels);
    const anchors: number[] = [];
    const positives: number[] = [];
    const negatives: number[] = [];
    if (numNegatives > 0) {
      for (let anchor = 0; anchor < labels.length; anchor++) {
        const own = positivesOf(anchor, labels);
        if (own.length === 0) continue;
        const row = weights.slice(anchor * labels.length, (anchor + 1) * labels.length);
        for (const same of [anchor, ...own]) row[same] = 0;
        const drawn = drawWithoutReplacement(row, numNegatives, this.random);
        const paired = matchCount(own, drawn.length, this.random);
        for (let i = 0; i < drawn.length; i++) {
          anchors.push(anchor);
          positives.push(paired[i] as number);
          negatives.push(drawn[i] as number);
        }
      }
    }
    return {
      anchors: Int32Array.from(anchors),
      positives: Int32Array.from(positives),
      negatives: Int32Array.from(negatives),
    };
  }
}

/**
 * Unnormalised sampling weights (B, B), row = anchor: exp(log(1 / q(d)) - the row's largest) + 1e-9 for negatives
 * with a loss, 1e-6 for images beyond, zero for the other ones of the anchor's class.
 *
 * q(d) ∝ d^(n-2) (1 - d²/4)^((n-3)/2) for points on the sphere in n dimensions.
 *
 * As in dcesml, images of the anchor's class that lie beyond have the 1e-6 too. They must not be drawn; there, they
 * can be.
 *
 * @param distances (B, B), row-major
 */
export function distanceWeights(
  distances: Float64Array,
  labels: Int32Array,
  options: { dimensions: number; cutoff: number; nonZeroLossCutoff: Cutoff },
): Float64Array {
  const size = labels.length;
  const { dimensions: n, cutoff, nonZeroLossCutoff } = options;
  const weights = new Float64Array(size * size);
  const logs = new Float64Array(size);
  for (let anchor = 0; anchor < size; anchor++) {
    const label = labels[anchor] as number;
    const far = typeof nonZeroLossCutoff === 'number' ? nonZeroLossCutoff : nonZeroLossCutoff(label);
    // Pairs that are left out count as 0 in the row's maximum, as in the reference implementation.
    let largest = -Infinity;
    for (let other = 0; other < size; other++) {
      const distance = Math.max(distances[anchor * size + other] as number, cutoff);
      // Opposite points, d = 2, would have an infinite weight.
      const squareLeft = Math.max(1 - 0.25 * distance * distance, 1e-12);
      const leftOut = labels[other] === label || distance >= far;
      const log = leftOut ? 0 : (2 - n) * Math.log(distance) - ((n - 3) / 2) * Math.log(squareLeft);
      logs[other] = log;
      if (log > largest) largest = log;
    }
    for (let other = 0; other < size; other++) {
      const distance = Math.max(distances[anchor * size + other] as number, cutoff);
      const near = labels[other] === label ? 0 : Math.exp((logs[other] as number) - largest) + WEIGHT_FLOOR;
      weights[anchor * size + other] = distance > far ? FAR_WEIGHT : near;
    }
  }
  return weights;
}

/**
 * How many negatives each anchor draws: the mean number of positives, rounded, at least one, and no more
 * than there are images outside the largest class. Zero for a batch of one class.
 */
export function negativesPerAnchor(labels: Int32Array): number {
  const wanted = Math.max(1, Math.floor(meanPositives(labels) + 0.5));
  return Math.min(wanted, labels.length - largestClass(labels));
}

/**
 * `count` distinct indices, ascending, drawn one after another in proportion to their weights; fewer if
 * fewer have a weight. An exponential race: the first arrivals of clocks that run at the rates of the
 * weights are distributed exactly so (Efraimidis and Spirakis 2006).
 */
export function drawWithoutReplacement(weights: Float64Array, count: number, random: Random): number[] {
  const winners: number[] = [];
  const arrivals: number[] = [];
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index] as number;
    if (!(weight > 0)) continue;
    const arrival = -Math.log(1 - random.next()) / weight;
    if (winners.length === count && arrival >= (arrivals[count - 1] as number)) continue;
    let place = Math.min(winners.length, count - 1);
    while (place > 0 && (arrivals[place - 1] as number) > arrival) {
      arrivals[place] = arrivals[place - 1] as number;
      winners[place] = winners[place - 1] as number;
      place--;
    }
    arrivals[place] = arrival;
    winners[place] = index;
  }
  return winners.sort((a, b) => a - b);
}

/** The positives as they are if the count fits, else `count` of them, drawn with repetition only if too few. */
function matchCount(positives: number[], count: number, random: Random): number[] {
  if (positives.length === count) return positives;
  const picks = random.choice(positives.length, count, { replace: positives.length < count });
  return Array.from(picks, (pick) => positives[pick] as number);
}
