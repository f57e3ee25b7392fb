import type { Score } from './head-training.js';

/** The file in a run's folder that says how it was chosen. */
export const FIT_FILE = 'fit.json';

/** A number over splits. */
export interface Spread {
  mean: number;
  /** Standard error of the mean over splits. */
  error: number;
}

/** What a head, or the network without one, came to. */
export interface HeadResult {
  /** `frozen` for the network without a head. */
  name: string;
  /** For each split, of classes that nothing was trained or chosen on. */
  test: Score[];
  /** For each split, of classes that were held out to choose by. */
  validation: Score[];
  /** For each split, the epochs that were best on the held-out classes; none for the network without a head. */
  epochs: number[];
}

/** A point of the learning curve: over splits, with a share of the classes to train on. */
export interface CurvePoint {
  /** Classes that trained, on average over splits. */
  classes: number;
  mapAtR: number[];
}

/** What a training of the network itself, on the data of a fit, sets aside. */
export interface NetworkData {
  seed: number;
  /** Share of its training classes to choose the best epoch on; 0 where they are too few, or the data have such classes. */
  validationFraction: number;
}

/** What a fit found: fit.json of its run. Scores are fractions. */
export interface FitReport {
  format: 1;
  photos: number;
  classes: number;
  /** Photos that could not be read. */
  leftOut: number;
  model: string;
  views: number;
  /** Of the classes of each split, their number by what they are for. */
  splits: { seed: number; fitted: number; validation: number; test: number }[];
  frozen: HeadResult;
  heads: HeadResult[];
  /** In each split the head that its own held-out classes chose: what the choice itself is worth. */
  chosenInEach: Score[];
  /** By the held-out classes over all splits; null: none beats the frozen network there. */
  recommended: string | null;
  /** The head of the run: the one that was asked for, or the recommended one. */
  taken: string | null;
  /** Of the head that was taken; empty without one. */
  curve: CurvePoint[];
  /** Whether training the network itself is likely to pay, as far as the learning curve tells. */
  network: 'likely' | 'unlikely' | 'open';
  /** How a training of the network itself divides the same data; null where they cannot be divided. */
  networkData: NetworkData | null;
  /** The run that was written; null where no head was taken. */
  run: string | null;
  seconds: { features: number; heads: number; total: number };
}

/** Mean and standard error; of one number the error is 0. */
export function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: values.length < 2 ? 0 : Math.sqrt(squares / (values.length - 1) / values.length) };
}

/** Of paired numbers: what the first are above the second. */
export function gainOf(values: readonly number[], over: readonly number[]): Spread {
  return spreadOf(values.map((value, at) => value - over[at]!));
}

export const mapAtRs = (scores: readonly Score[]): number[] => scores.map(({ mapAtR }) => mapAtR);
export const recalls = (scores: readonly Score[]): number[] => scores.map(({ recallAt1 }) => recallAt1);
