import { type Calibration, type IndexOrigin, UserError } from '@conquer-dml/run';
import { thresholdFor } from '../evaluate/calibrate.js';

/** @throws RangeError for a calibration of another embedder than the rows of an index are of */
export function requireCalibrationOf(origin: IndexOrigin | null, calibration: Calibration | null): void {
  const [own, theirs] = [origin?.embedder, calibration?.embedder];
  if (own && theirs && own !== theirs)
    throw new RangeError(
      `an index by ${own} cannot have a calibration of ${theirs}: calibrate the index itself`,
    );
}

/**
 * From which similarity on no more than this share of pairs of different classes is taken for the same.
 * @throws UserError where an index is not calibrated, or its calibration does not support this rate
 */
export function indexThreshold(calibration: Calibration | null, maxFalseMatch: number): number {
  if (calibration === null)
    throw new UserError(
      'it is not known what a similarity means here: calibrate the index (conquer calibrate INDEX), or its run',
    );
  return thresholdFor(calibration, maxFalseMatch).similarity;
}
