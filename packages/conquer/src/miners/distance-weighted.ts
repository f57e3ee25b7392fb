import { aten, noGrad, scope, type Tensor, tensor } from '@conquer/torch';
import { finiteDistances } from '../distances/pairwise.js';
import type { Random } from '../random.js';
import type { Tuples } from '../tuples.js';
import type { Miner } from './miner.js';
import { largestClass, meanPositives } from './positives.js';

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

type Weights = Float32Array | Float64Array;

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
    const far = this.nonZeroLossCutoff;
    const weights = scope(() =>
      distanceWeights(finiteDistances(embeddings), labels, {
        dimensions: embeddings.size(1),
        cutoff: this.cutoff,
        nonZeroLossCutoff: typeof far === 'object' ? far.zeroLossDistance() : far,
      }).toTypedArray(),
    ) as Weights;
    return this.sample(weights, labels);
  }

  /** @param weights (B, B), row-major; those of pairs of one class are not used */
  sample(weights: Weights, labels: Int32Array): Tuples {
    const numNegatives = negativesPerAnchor(labels);
    const classes = new Map<number, number[]>();
    for (const [image, label] of labels.entries()) {
      const members = classes.get(label);
      if (members) members.push(image);
      else classes.set(label, [image]);
    }
    const anchors: number[] = [];
    const positives: number[] = [];
    const negatives: number[] = [];
    const row = new Float64Array(labels.length);
    if (numNegatives > 0) {
      for (const [anchor, label] of labels.entries()) {
        const members = classes.get(label) as number[];
        if (members.length < 2) continue;
        row.set(weights.subarray(anchor * labels.length, (anchor + 1) * labels.length));
        for (const same of members) row[same] = 0;
        const drawn = drawWithoutReplacement(row, numNegatives, this.random);
        const own = members.filter((other) => other !== anchor);
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
 * @param distances (B, B), float32 or float64, as are the weights; changed in place
 */
export function distanceWeights(
  distances: Tensor,
  labels: Int32Array,
  options: { dimensions: number; cutoff: number; nonZeroLossCutoff: Cutoff },
): Tensor {
  const size = labels.length;
  const { dimensions: n, cutoff, nonZeroLossCutoff } = options;
  return scope(() =>
    noGrad(() => {
      const { dtype, device } = distances;
      const distance = distances.clamp_({ min: cutoff });
      const far =
        typeof nonZeroLossCutoff === 'number'
          ? nonZeroLossCutoff
          : tensor(Float64Array.from(labels, nonZeroLossCutoff), { shape: [size, 1], dtype, device });
      const label = tensor(labels, { device });
      const same = label.view([size, 1]).eq(label.view([1, size]));
      // Opposite points, d = 2, would have an infinite weight.
      const squareLeft = distance.square().mul_(-0.25).add_(1).clamp_({ min: 1e-12 });
      const logs = distance
        .log()
        .mul_(2 - n)
        .sub_(aten.log_(squareLeft).mul_((n - 3) / 2));
      // Pairs that are left out count as 0 in the row's maximum, as in the reference implementation.
      const beyond = distance.ge(far);
      logs.maskedFill_(same.logicalOr(beyond), 0);
      const weights = aten.exp_(logs.sub_(logs.amax(1, true))).add_(WEIGHT_FLOOR);
      return weights.maskedFill_(same, 0).maskedFill_(distance.gt(far), FAR_WEIGHT);
    }),
  );
}

/**
 * How many negatives each anchor draws: the mean number of positives, rounded, at least one, and no more
 * than there are images outside the largest class. Zero for a batch of one class.
 */
export function negativesPerAnchor(labels: Int32Array): number {
  const wanted = Math.max(1, Math.floor(meanPositives(labels) + 0.5));
  return Math.min(wanted, labels.length - largestClass(labels));
}

/** Weights are summed by so many, so that a draw reads a block and the blocks' sums, not all. */
const BLOCK = 16;

/**
 * `count` distinct indices, ascending, drawn one after another in proportion to their weights; fewer if
 * fewer have a weight. One random number each. The weights of what is drawn become zero.
 */
export function drawWithoutReplacement(weights: Float64Array, count: number, random: Random): number[] {
  const sums = new Float64Array(Math.ceil(weights.length / BLOCK));
  for (let block = 0; block < sums.length; block++) sums[block] = sumOfBlock(weights, block);
  const drawn: number[] = [];
  while (drawn.length < count) {
    let total = 0;
    for (let block = 0; block < sums.length; block++) total += sums[block]!;
    if (!(total > 0)) break;
    let rest = random.next() * total;
    // Should rounding leave a rest, it is the last one that has a weight.
    let block = 0;
    for (let i = 0; i < sums.length; i++) {
      if (sums[i] === 0) continue;
      block = i;
      if (rest < sums[i]!) break;
      rest -= sums[i]!;
    }
    const end = Math.min(weights.length, (block + 1) * BLOCK);
    let pick = 0;
    for (let i = block * BLOCK; i < end; i++) {
      if (weights[i] === 0) continue;
      pick = i;
      rest -= weights[i]!;
      if (rest < 0) break;
    }
    weights[pick] = 0;
    sums[block] = sumOfBlock(weights, block);
    drawn.push(pick);
  }
  return drawn.sort((a, b) => a - b);
}

function sumOfBlock(weights: Float64Array, block: number): number {
  const end = Math.min(weights.length, (block + 1) * BLOCK);
  let sum = 0;
  for (let i = block * BLOCK; i < end; i++) sum += weights[i]!;
  return sum;
}

/** The positives as they are if the count fits, else `count` of them, drawn with repetition only if too few. */
function matchCount(positives: number[], count: number, random: Random): number[] {
  if (positives.length === count) return positives;
  const picks = random.choice(positives.length, count, { replace: positives.length < count });
  return Array.from(picks, (pick) => positives[pick] as number);
}
