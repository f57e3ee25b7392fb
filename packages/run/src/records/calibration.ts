import { finite, isFields } from './fields.js';

/** A similarity from which on two images are taken for the same, and how often that is wrong. */
export interface MatchThreshold {
  /** The stated false-match rate: of pairs of different classes, the share that is at least so similar. */
  rate: number;
  /** Cosine. */
  similarity: number;
  /** Where that rate lies on other classes, with 95 % confidence: by bootstrap over the classes. */
  interval: readonly [number, number];
  /** Of pairs of one class, the share that is at least so similar. */
  found: number;
}

/** What similarities of a model mean, from pairs of classes that it has not seen. */
export interface Calibration {
  /** The embedder whose similarities these are. null: not known. */
  embedder: string | null;
  /** What it was made of, in words: `validation classes of runs/a`. */
  source: string;
  classes: number;
  images: number;
  samePairs: number;
  differentPairs: number;
  /** From the highest rate to the lowest that the data support. */
  thresholds: readonly MatchThreshold[];
  /** Rates that they do not support, and why. */
  refused: readonly { rate: number; reason: string }[];
  /**
   * The probability that two images are of one class, by their similarity, where as many pairs are as are not: straight lines
   * between these points, ascending in both.
   */
  probability: { similarities: readonly number[]; probabilities: readonly number[] };
}

const areNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((number) => finite(number) !== null);

/** A calibration as JSON.parse gives it; null for all else. */
export function calibrationOf(value: unknown): Calibration | null {
  if (!isFields(value)) return null;
  const { embedder, source, thresholds, refused, probability } = value;
  const isThreshold = (one: unknown) =>
    isFields(one) &&
    [one.rate, one.similarity, one.found].every((number) => finite(number) !== null) &&
    areNumbers(one.interval) &&
    one.interval.length === 2;
  const sound =
    (embedder === null || typeof embedder === 'string') &&
    typeof source === 'string' &&
    ['classes', 'images', 'samePairs', 'differentPairs'].every((name) => finite(value[name]) !== null) &&
    Array.isArray(thresholds) &&
    thresholds.every(isThreshold) &&
    Array.isArray(refused) &&
    isFields(probability) &&
    areNumbers(probability.similarities) &&
    areNumbers(probability.probabilities) &&
    probability.similarities.length === probability.probabilities.length &&
    probability.similarities.length > 0;
  return sound ? (value as unknown as Calibration) : null;
}
