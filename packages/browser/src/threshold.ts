/** A similarity from which on two images are taken for the same, and how often that is wrong (conquer calibrate). */
export interface Threshold {
  /** The stated false-match rate: of pairs of different classes, the share that is at least so similar. */
  rate: number;
  /** Cosine. */
  similarity: number;
  /** Of pairs of one class, the share that is at least so similar. */
  found: number;
}

/**
 * The threshold of the highest stated rate that is no higher than what may be.
 *
 * @param thresholds from the highest rate to the lowest, as a model or an index has them
 * @param maxFalseMatch above 0, at most 1
 * @throws RangeError where there is none, so that no rate is promised that is not supported
 */
export function thresholdFor(thresholds: readonly Threshold[], maxFalseMatch: number): Threshold {
  if (!(maxFalseMatch > 0 && maxFalseMatch <= 1))
    throw new RangeError(`maxFalseMatch: expected a rate above 0 and at most 1, got ${maxFalseMatch}`);
  const found = thresholds.find(({ rate }) => rate <= maxFalseMatch);
  if (found) return found;
  const last = thresholds.at(-1);
  throw new RangeError(
    last
      ? `maxFalseMatch: the calibration supports rates of ${last.rate} or more, got ${maxFalseMatch}`
      : 'maxFalseMatch: it is not known what a similarity means here: calibrate the run or the index (conquer calibrate) and export it again',
  );
}

/** @throws Error unless the text is that of thresholds */
export function parseThresholds(text: string, name: string): Threshold[] {
  const parsed: unknown = JSON.parse(text);
  const isThreshold = (one: unknown) =>
    typeof one === 'object' &&
    one !== null &&
    ['rate', 'similarity', 'found'].every((key) => Number.isFinite((one as Record<string, unknown>)[key]));
  if (Array.isArray(parsed) && parsed.every(isThreshold)) return parsed as Threshold[];
  throw new Error(`${name}: its thresholds are damaged: export it again`);
}
