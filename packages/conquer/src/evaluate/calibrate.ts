import { type Calibration, type MatchThreshold, UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { Random } from '../random.js';
import type { StopCheck } from '../stop-check.js';
import { binOf, countSimilarities, eachPair } from './similarity-counts.js';
import { confidenceInterval, REPLICATES, statedRates, USUAL_RATES } from './stated-rates.js';

/** Classes and images that are looked at, drawn where there are more: pairs of 20,000 images are 200 million. */
export const MOST = { classes: 2048, images: 20_000 };
/** Pairs of the same two classes are no independent witnesses. */
const WITNESSES = { of: 'pairs of classes', more: 'more classes' };

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
  { rates = USUAL_RATES, seed = 0, embedder = null, source = 'images', stop }: CalibrateOptions = {},
): Calibration {
  const random = new Random(seed);
  const drawn = drawnRows(labels, random);
  return scope(() =>
    noGrad(() => {
      const index = tensor(Int32Array.from(drawn.rows), { dtype: 'int64', device: embeddings.device });
      const rows = embeddings.detach().indexSelect(0, index).to('cpu').to({ dtype: 'float32' });
      const counts = countSimilarities(rows, drawn.classes, stop);
      if (counts.same.every((count) => count === 0) || drawn.count < 2)
        throw new UserError(
          `${source}: expected two classes or more, one of them with two images, to calibrate on; got ${drawn.count} classes of ${drawn.rows.length} images`,
        );
      const stated = statedRates(counts, rates, WITNESSES, (bins) => {
        const beyond = pairsBeyond(rows, drawn, bins, stop);
        const shares = bootstrapShares(beyond, drawn, random);
        return beyond.map((pairs, at) => ({
          witnesses: pairs.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0) / 2,
          interval: shares[at]!,
        }));
      });
      return { embedder, source, classes: drawn.count, images: drawn.rows.length, ...stated };
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
export function drawnRows(labels: Int32Array, random: Random): DrawnRows {
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
      return confidenceInterval(shares);
    });
  });
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
