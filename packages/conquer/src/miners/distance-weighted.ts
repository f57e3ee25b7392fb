import { distanceWeights, noGrad, scope } from '@conquer-dml/torch';
import { z } from 'zod';
import { checkPair } from '../batch-labels.js';
import { type Cutoff, type MiningBounds, usualBounds } from '../mining-bounds.js';
import { refuseNonFinite, refuseNonFiniteRows } from '../neighbours/pairwise.js';
import { part, withDefaults } from '../part.js';
import type { Random } from '../random.js';
import { countPairs, type Labelled, type Rows } from '../rows.js';
import type { Tuples } from '../tuples.js';
import type { Miner, MinerContext } from './miner.js';
import { meanOf } from './positives.js';

const options = z.strictObject({
  cutoff: z
    .number()
    .min(0)
    .default(0.5)
    .describe('distances below count as this: nearer negatives give gradients of too high a variance'),
  nonZeroLossCutoff: z
    .number()
    .min(0)
    .nullable()
    .default(null)
    .describe('a negative this far away is drawn only where none is nearer; null: as the loss says'),
});

export interface DistanceWeightedOptions extends z.input<typeof options> {
  random: Random;
  /** Tells from which distance on a negative has no loss. The margin loss's may move, and is asked for every batch. */
  loss?: MiningBounds;
}

type Weights = Float32Array | Float64Array;

/** The weight of a negative without loss. */
const FAR_WEIGHT = 1e-6;
/** Added to every weight, so that none underflows to nothing. */
const WEIGHT_FLOOR = 1e-9;
/** As `pairwiseDistances` has it: equal rows have a distance of 0.01. */
const LEAST_SQUARE = 1e-4;

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
  /** In place of the loss's. */
  readonly nonZeroLossCutoff?: number;
  readonly #loss: MiningBounds;
  readonly #random: Random;
  /** Those of the last batch: memory that the next one takes. */
  #weights?: Weights;

  constructor({ random, loss = usualBounds, ...given }: DistanceWeightedOptions) {
    const { cutoff, nonZeroLossCutoff } = withDefaults('DistanceWeightedMiner', options, given);
    this.cutoff = cutoff;
    if (nonZeroLossCutoff !== null) this.nonZeroLossCutoff = nonZeroLossCutoff;
    this.#loss = loss;
    this.#random = random;
  }

  /** @throws Error if an embedding is NaN or infinite */
  mine(anchors: Rows, reference: Rows = anchors): Tuples {
    checkPair('distance-weighted miner', anchors, reference);
    if (reference !== anchors) refuseNonFiniteRows(reference.embeddings, 'reference set');
    const bounds = {
      cutoff: this.cutoff,
      nonZeroLossCutoff: this.nonZeroLossCutoff ?? this.#loss.zeroLossDistance(),
    };
    this.#weights = negativeWeights(anchors, reference, bounds, this.#weights);
    return this.sample(this.#weights, anchors, reference);
  }

  /**
   * Draws the tuples by weights that are there.
   * @param weights (A, N), row-major; those of pairs of one class are not used; those of what is drawn become
   *   zero
   * @throws Error if a row of weights is NaN
   */
  sample(weights: Weights, of: Labelled, reference: Labelled): Tuples {
    const numNegatives = negativesPerAnchor(of, reference);
    const classes = new Map<number, number[]>();
    for (const [image, label] of reference.labels.entries()) {
      const members = classes.get(label);
      if (members) members.push(image);
      else classes.set(label, [image]);
    }
    const anchors: number[] = [];
    const positives: number[] = [];
    const negatives: number[] = [];
    const size = reference.labels.length;
    if (numNegatives > 0) {
      for (const [anchor, label] of of.labels.entries()) {
        const row = anchor * size;
        if (Number.isNaN(weights[row])) refuseNonFinite(anchor);
        const members = classes.get(label) ?? [];
        const own = members.filter((other) => reference.imageIds[other] !== of.imageIds[anchor]);
        if (own.length === 0) continue;
        for (const same of members) weights[row + same] = 0;
        const drawn = drawWithoutReplacement(weights, numNegatives, this.#random, row, size);
        const paired = matchCount(own, drawn.length, this.#random);
        for (let i = 0; i < drawn.length; i++) {
          anchors.push(anchor);
          positives.push(paired[i] as number);
          negatives.push(drawn[i] as number);
        }
      }
    }
    return {
      anchors: new Int32Array(anchors),
      positives: new Int32Array(positives),
      negatives: new Int32Array(negatives),
    };
  }
}

/**
 * Unnormalised sampling weights (A, N), row = anchor: exp(log(1 / q(d)) - the row's largest) + 1e-9 for negatives
 * with a loss, 1e-6 for images beyond, zero for the other ones of the anchor's class.
 *
 * q(d) ∝ d^(n-2) (1 - d²/4)^((n-3)/2) for points on the sphere in n dimensions.
 *
 * As in dcesml, images of the anchor's class that lie beyond have the 1e-6 too. They must not be drawn; there, they
 * can be.
 *
 * @param anchors with embeddings in float32 or float64, as are the weights
 * @param reuse memory that is taken if it fits
 * @returns (A, N), row-major; NaN all along the row of an embedding that is not finite
 */
export function negativeWeights(
  anchors: Rows,
  reference: Rows,
  { cutoff, nonZeroLossCutoff }: { cutoff: number; nonZeroLossCutoff: Cutoff },
  reuse?: Weights,
): Weights {
  const n = anchors.embeddings.size(1);
  const length = anchors.labels.length * reference.labels.length;
  const far = Float64Array.from(anchors.labels, (label) =>
    typeof nonZeroLossCutoff === 'number' ? nonZeroLossCutoff : nonZeroLossCutoff(label),
  );
  const Numbers = anchors.embeddings.dtype === 'float64' ? Float64Array : Float32Array;
  const fits = reuse instanceof Numbers && reuse.length === length;
  return scope(() =>
    noGrad(() => {
      const products = anchors.embeddings.matmul(reference.embeddings.t());
      // Those of the batch itself are the products' diagonal, so that equal rows are at a distance of 0 to the bit.
      const square = (rows: Rows) => rows.embeddings.square().sum(1);
      const own = reference === anchors ? null : { rows: square(anchors), columns: square(reference) };
      const weights = fits ? reuse : new Numbers(length);
      return distanceWeights(products, own, anchors.labels, reference.labels, far, weights, {
        exponentOfDistance: (n - 2) / 2,
        exponentOfRest: (n - 3) / 2,
        leastSquare: Math.max(cutoff ** 2, LEAST_SQUARE),
        floor: WEIGHT_FLOOR,
        farWeight: FAR_WEIGHT,
      });
    }),
  );
}

/**
 * How many negatives each anchor draws: the mean number of positives, rounded, at least one, and no more than there are
 * for the anchor that has the fewest. Zero for a batch of one class.
 */
export function negativesPerAnchor(anchors: Labelled, reference: Labelled): number {
  const counts = countPairs(anchors, reference);
  const wanted = Math.max(1, Math.floor(meanOf(counts.positives) + 0.5));
  return Math.min(wanted, ...counts.negatives);
}

/** Weights are summed by so many, so that a draw reads a block and the blocks' sums, not all. */
const BLOCK = 16;

/**
 * `count` distinct indices, ascending, drawn one after another in proportion to their weights; fewer if
 * fewer have a weight. One random number each. The weights of what is drawn become zero.
 *
 * @param first where in the weights to begin; indices count from here
 */
export function drawWithoutReplacement(
  weights: Weights,
  count: number,
  random: Random,
  first = 0,
  size = weights.length,
): number[] {
  const sums: number[] = [];
  for (let begin = 0; begin < size; begin += BLOCK) sums.push(sumOfBlock(weights, first, size, begin));
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
    const begin = block * BLOCK;
    const end = Math.min(size, begin + BLOCK);
    let pick = begin;
    for (let i = begin; i < end; i++) {
      const weight = weights[first + i]!;
      if (weight === 0) continue;
      pick = i;
      rest -= weight;
      if (rest < 0) break;
    }
    weights[first + pick] = 0;
    sums[block] = sumOfBlock(weights, first, size, begin);
    let place = drawn.length;
    for (; place > 0 && drawn[place - 1]! > pick; place--) drawn[place] = drawn[place - 1]!;
    drawn[place] = pick;
  }
  return drawn;
}

function sumOfBlock(weights: Weights, first: number, size: number, begin: number): number {
  const end = first + Math.min(size, begin + BLOCK);
  let sum = 0;
  for (let i = first + begin; i < end; i++) sum += weights[i]!;
  return sum;
}

/** The positives as they are if the count fits, else `count` of them, drawn with repetition only if too few. */
function matchCount(positives: number[], count: number, random: Random): number[] {
  if (positives.length === count) return positives;
  const picks = random.choice(positives.length, count, { replace: positives.length < count });
  return Array.from(picks, (pick) => positives[pick] as number);
}

export const distanceWeighted = part({
  name: 'distance-weighted',
  help: 'negatives drawn so that their distances are spread evenly (Wu et al. 2017)',
  options,
  build: (options, { random, loss }: MinerContext) => new DistanceWeightedMiner({ ...options, random, loss }),
});
