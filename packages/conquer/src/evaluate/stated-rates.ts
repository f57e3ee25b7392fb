import type { Calibration, MatchThreshold } from '@conquer-dml/run';
import { isotonic } from './isotonic.js';
import { edgeOf, type SimilarityCounts } from './similarity-counts.js';

export const USUAL_RATES = [1e-1, 1e-2, 1e-3, 1e-4];
/** A rate is stated where so many witnesses are beyond its threshold: of fewer, chance decides. */
const LEAST_WITNESSES = 30;
/** Bootstrap replicates. */
export const REPLICATES = 1000;
/** Points of the probability's curve. */
const POINTS = 128;

/** What is known of the pairs that are beyond a threshold. */
export interface Support {
  /** How many of them are independent of each other. */
  witnesses: number;
  /** Of their share among all different pairs. */
  interval: [number, number];
}

/**
 * The thresholds of false-match rates, the lowest similarity each at which no more than that share of the different pairs is; and the
 * probability that two images of a similarity are the same.
 *
 * @param counts of both kinds of pairs, at least one each
 * @param words how witnesses are called, and what there should be more of, for the reason that a rate is refused
 * @param supportOf of each threshold's bin; null: not even the highest bin holds so few
 */
export function statedRates(
  counts: SimilarityCounts,
  rates: readonly number[],
  words: { of: string; more: string },
  supportOf: (bins: readonly (number | null)[]) => readonly Support[],
): Pick<Calibration, 'samePairs' | 'differentPairs' | 'thresholds' | 'refused' | 'probability'> {
  const [samePairs, differentPairs] = [sumOf(counts.same), sumOf(counts.different)];
  const bins = rates.map((rate) => thresholdBin(counts.different, rate * differentPairs));
  const support = supportOf(bins);
  const thresholds: MatchThreshold[] = [];
  const refused: { rate: number; reason: string }[] = [];
  for (const [at, rate] of rates.entries()) {
    const bin = bins[at]!;
    const { witnesses, interval } = support[at]!;
    if (bin === null || witnesses < LEAST_WITNESSES) {
      const reason = `only ${bin === null ? 0 : witnesses} ${words.of} lie beyond its threshold, ${LEAST_WITNESSES} are needed: ${words.more}`;
      refused.push({ rate, reason });
      continue;
    }
    let found = 0;
    for (let b = bin; b < counts.same.length; b++) found += counts.same[b]!;
    thresholds.push({ rate, similarity: edgeOf(bin), interval, found: found / samePairs });
  }
  const probability = probabilityCurve(counts, samePairs, differentPairs);
  return { samePairs, differentPairs, thresholds, refused, probability };
}

/** The 2.5th and the 97.5th percentile of the replicates. */
export function confidenceInterval(replicates: Float64Array): [number, number] {
  const sorted = Float64Array.from(replicates).sort();
  return [sorted[Math.floor(0.025 * sorted.length)]!, sorted[Math.ceil(0.975 * sorted.length) - 1]!];
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
