import { type Calibration, type MatchThreshold, UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';
import type { StopCheck } from '../stop-check.js';
import { isotonic } from './isotonic.js';
import { binOf, countSimilarities, eachPair, edgeOf, type SimilarityCounts } from './similarity-counts.js';

/** Classes and images that are looked at, drawn where there are more: pairs of 20,000 images are 200 million. */
export const MOST = { classes: 2048, images: 20_000 };
/** A rate is stated where the pairs that are beyond its threshold are of so many pairs of classes: of fewer, chance decides. */
const LEAST_CLASS_PAIRS = 30;
/** Bootstrap replicates. */
const REPLICATES = 1000;
/** Points of the probability's curve. */
const POINTS = 128;

export interface CalibrateOptions {
  /** False-match rates to find thresholds for; default 1e-1, 1e-2, 1e-3 and 1e-4. */
  rates?: readonly number[];
  /** Draws classes and bootstrap replicates; default 0. */
  seed?: number;
  /** Whose similarities these are, and what of. */
  embedder?: string | null;
  source?: string;
  stop?: StopCheck | undefined;
}

/**
 * What similarities mean, from all pairs of images of classes that took no part in the training.
 *
 * A threshold is the lowest similarity at which no more than the stated share of pairs of different classes is. Pairs of the same two
 * classes are no independent witnesses, so its interval is from classes drawn anew, with replacement, and all of their pairs.
 *
 * @param embeddings (N, D) of length 1
 * @param labels (N,)
 * @throws UserError where there are fewer than two classes, or no pair of one class
 */
export function calibrate(
  embeddings: Tensor,
  labels: Int32Array,
  {
    rates = [1e-1, 1e-2, 1e-3, 1e-4],
    seed = 0,
    embedder = null,
    source = 'images',
    stop,
  }: CalibrateOptions = {},
): Calibration {
  const random = new Random(seed);
  const drawn = drawnRows(labels, random);
  return scope(() =>
    noGrad(() => {
      const index = tensor(Int32Array.from(drawn.rows), { dtype: 'int64', device: embeddings.device });
      const rows = embeddings.detach().indexSelect(0, index).to('cpu').to({ dtype: 'float32' });
      const counts = countSimilarities(rows, drawn.classes, stop);
      const [samePairs, differentPairs] = [sumOf(counts.same), sumOf(counts.different)];
      if (samePairs === 0 || differentPairs === 0)
        throw new UserError(
          `${source}: expected two classes or more, one of them with two images, to calibrate on; got ${drawn.count} classes of ${drawn.rows.length} images`,
        );
      const bins = rates.map((rate) => thresholdBin(counts.different, rate * differentPairs));
      const beyond = pairsBeyond(rows, drawn, bins, stop);
      const shares = bootstrapShares(beyond, drawn, random);
      const thresholds: MatchThreshold[] = [];
      const refused: { rate: number; reason: string }[] = [];
      for (const [at, rate] of rates.entries()) {
        const bin = bins[at]!;
        const classPairs = beyond[at]!.reduce((sum, pairs) => sum + (pairs > 0 ? 1 : 0), 0) / 2;
        if (bin === null || classPairs < LEAST_CLASS_PAIRS) {
          const reason = `only ${bin === null ? 0 : classPairs} pairs of classes lie beyond its threshold, ${LEAST_CLASS_PAIRS} are needed: more classes`;
          refused.push({ rate, reason });
          continue;
        }
        const [low, high] = shares[at]!;
        let found = 0;
        for (let b = bin; b < counts.same.length; b++) found += counts.same[b]!;
        thresholds.push({ rate, similarity: edgeOf(bin), interval: [low, high], found: found / samePairs });
      }
      return {
        embedder,
        source,
        classes: drawn.count,
        images: drawn.rows.length,
        samePairs,
        differentPairs,
        thresholds,
        refused,
        probability: probabilityCurve(counts, samePairs, differentPairs),
      };
    }),
  );
}

interface DrawnRows {
  rows: number[];
  /** (rows,) numbered 0…count − 1. */
  classes: Int32Array;
  count: number;
}

/** Whole classes, in an order that is drawn, until there are enough. */
function drawnRows(labels: Int32Array, random: Random): DrawnRows {
  const members = new Map<number, number[]>();
  for (const [row, label] of labels.entries()) {
    const known = members.get(label);
    if (known) known.push(row);
    else members.set(label, [row]);
  }
  const all = [...members.values()];
  const rows: number[] = [];
  const classes: number[] = [];
  let count = 0;
  for (const at of random.permutation(all.length)) {
    const own = all[at]!;
    if (count >= 2 && (count === MOST.classes || rows.length + own.length > MOST.images)) break;
    rows.push(...own);
    classes.push(...own.map(() => count));
    count++;
  }
  return { rows, classes: Int32Array.from(classes), count };
}

const sumOf = (numbers: Float64Array): number => numbers.reduce((sum, number) => sum + number, 0);

/** The lowest bin such that it and those above hold at most so many; null: not even the highest does. */
function thresholdBin(counts: Float64Array, most: number): number | null {
  let beyond = 0;
  for (let bin = counts.length - 1; bin >= 0; bin--) {
    beyond += counts[bin]!;
    if (beyond > most) return bin + 1 === counts.length ? null : bin + 1;
  }
  return 0;
}

/** For each threshold (classes × classes): pairs of images of these two classes that are at least so similar. */
function pairsBeyond(
  rows: Tensor,
  { classes, count }: DrawnRows,
  bins: readonly (number | null)[],
  stop?: StopCheck,
): Float32Array[] {
  const beyond = bins.map(() => new Float32Array(count * count));
  eachPair(
    rows,
    (i, j, bin) => {
      const [a, b] = [classes[i]!, classes[j]!];
      if (a === b) return;
      for (const [at, least] of bins.entries()) {
        if (least === null || bin < least) continue;
        beyond[at]![a * count + b]!++;
        beyond[at]![b * count + a]!++;
      }
    },
    stop,
  );
  return beyond;
}

/** For each threshold the 2.5th and 97.5th percentile of the share of pairs beyond it, over classes drawn with replacement. */
function bootstrapShares(
  beyond: readonly Float32Array[],
  { classes, count }: DrawnRows,
  random: Random,
): [number, number][] {
  return scope(() => {
    const weights = new Float32Array(REPLICATES * count);
    for (let replicate = 0; replicate < REPLICATES; replicate++)
      for (let draw = 0; draw < count; draw++) weights[replicate * count + random.int(count)]!++;
    const drawn = tensor(weights, { shape: [REPLICATES, count] });
    const sizes = new Float32Array(count);
    for (const one of classes) sizes[one]!++;
    const images = tensor(sizes, { shape: [1, count] });
    // Σ over pairs of different classes of w_a w_b n_a n_b.
    const weighted = drawn.mul(images);
    const totals = weighted.sum(1).square().sub(weighted.square().sum(1));
    return beyond.map((pairs) => {
      const matrix = tensor(pairs, { shape: [count, count] });
      const shares = drawn.matmul(matrix).mul(drawn).sum(1).div(totals).toNumbers();
      const sorted = Float64Array.from(shares).sort();
      return [sorted[Math.floor(0.025 * REPLICATES)]!, sorted[Math.ceil(0.975 * REPLICATES) - 1]!];
    });
  });
}

/** Isotonic regression over the bins, both kinds of pairs weighing the same; never quite 0 or 1, as there are only so many pairs. */
function probabilityCurve({ same, different }: SimilarityCounts, samePairs: number, differentPairs: number) {
  const bins: number[] = [];
  const shares: number[] = [];
  const weights: number[] = [];
  for (const [bin, count] of same.entries()) {
    const [a, b] = [count / samePairs, different[bin]! / differentPairs];
    if (a + b === 0) continue;
    bins.push(bin);
    shares.push(a / (a + b));
    weights.push(a + b);
  }
  const fit = isotonic(shares, weights);
  const least = 1 / (2 * samePairs + 2);
  const points = fit.starts.map((start, at) => {
    const last = (fit.starts[at + 1] ?? bins.length) - 1;
    const probability = Math.min(1 - least, Math.max(least, fit.values[at]!));
    return { similarity: (edgeOf(bins[start]!) + edgeOf(bins[last]!)) / 2, probability };
  });
  const step = Math.max(1, (points.length - 1) / (POINTS - 1));
  const kept = Array.from(
    { length: Math.min(points.length, POINTS) },
    (_, i) => points[Math.min(points.length - 1, Math.round(i * step))]!,
  );
  return {
    similarities: kept.map(({ similarity }) => similarity),
    probabilities: kept.map(({ probability }) => probability),
  };
}

/**
 * The probability that two images of this similarity are of one class.
 * @param prior how probable that was before: default one half
 */
export function matchProbability({ probability }: Calibration, similarity: number, prior = 0.5): number {
  const { similarities, probabilities } = probability;
  let at = similarities.findIndex((point) => point >= similarity);
  if (at < 0) at = similarities.length - 1;
  const [left, right] = [Math.max(0, at - 1), at];
  const gap = similarities[right]! - similarities[left]!;
  const share = gap === 0 ? 1 : Math.min(1, Math.max(0, (similarity - similarities[left]!) / gap));
  const even = probabilities[left]! + share * (probabilities[right]! - probabilities[left]!);
  return (even * prior) / (even * prior + (1 - even) * (1 - prior));
}

/**
 * The similarity from which on matches are wrong at most so often: of the stated rates the highest that is no higher.
 * @throws UserError where the calibration supports none
 */
export function thresholdFor(
  { thresholds, refused, classes }: Calibration,
  maxFalseMatch: number,
): MatchThreshold {
  if (!(maxFalseMatch > 0 && maxFalseMatch <= 1))
    throw new UserError(`maxFalseMatch: expected a rate above 0 and at most 1, got ${maxFalseMatch}`);
  const found = thresholds.find(({ rate }) => rate <= maxFalseMatch);
  if (found) return found;
  const reason = refused.find(({ rate }) => rate <= maxFalseMatch)?.reason;
  const supported = thresholds.at(-1);
  throw new UserError(
    `maxFalseMatch ${maxFalseMatch}: the calibration, of ${classes} classes, supports ${supported ? `rates of ${supported.rate} or more` : 'no rate'}${reason ? ` (${reason})` : ''}`,
  );
}

/** The rate that is answered by where none is asked for. */
const USUAL_RATE = 0.01;

/** The threshold of one false match in a hundred pairs of different classes, or of the rate next to that; null: of none. */
export function usualThreshold({ thresholds }: Calibration): MatchThreshold | null {
  return thresholds.find(({ rate }) => rate <= USUAL_RATE) ?? thresholds.at(-1) ?? null;
}

/** How many of the pairs of different classes are at least so similar, on classes that are looked at now. */
export function observedRate(embeddings: Tensor, labels: Int32Array, similarity: number): number {
  const least = binOf(similarity);
  let [beyond, all] = [0, 0];
  eachPair(embeddings, (i, j, bin) => {
    if (labels[i] === labels[j]) return;
    all++;
    if (bin >= least) beyond++;
  });
  return beyond / all;
}
