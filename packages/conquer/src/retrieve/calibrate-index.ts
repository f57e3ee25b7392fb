import { type Calibration, UserError } from '@conquer-dml/run';
import { type CalibrateOptions, calibrate } from '../evaluate/calibrate.js';
import type { ImageIndex } from './image-index.js';

/**
 * Calibrates by the labelled items of an index, and keeps that in it (until it is saved, in memory). Items are of one class where
 * their first labels are the same. Classes that the model was trained on make it look better than it is on others.
 *
 * @throws UserError where fewer than two classes are labelled, or no two images are of one
 */
export function calibrateIndex(
  index: ImageIndex,
  options: Pick<CalibrateOptions, 'rates' | 'seed'> = {},
): Calibration {
  const numbers = new Map<string, number>();
  const labels: number[] = [];
  const labelled: number[] = [];
  let row = 0;
  for (const item of index.items()) {
    const [label] = item.labels;
    if (label !== undefined) {
      const number = numbers.get(label) ?? numbers.size;
      numbers.set(label, number);
      for (let image = 0; image < item.images.length; image++) {
        labelled.push(row + image);
        labels.push(number);
      }
    }
    row += item.images.length;
  }
  if (numbers.size < 2)
    throw new UserError(
      `an index is calibrated by items of two classes or more, it has labels of ${numbers.size}: index a folder of class folders, or a CSV file with a column label`,
    );
  using rows = index.rowsOf(labelled);
  const calibration = calibrate(rows, Int32Array.from(labels), {
    ...options,
    embedder: index.origin?.embedder ?? null,
    source: 'labelled items of the index',
  });
  index.calibration = calibration;
  return calibration;
}
