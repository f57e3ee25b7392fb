import { type Calibration, UserError } from '@conquer-dml/run';
import { type CalibrateOptions, calibrate, MOST } from '../evaluate/calibrate.js';
import type { ImageIndex } from './image-index.js';

const SOURCE = 'labelled items of the index';

/**
 * Why the calibration of an index may say little of it: it is of the index's own labelled images, of which there are by now more than
 * twice as many, or fewer than half. null: nothing speaks against it, or there is none.
 */
export function outgrown(index: ImageIndex): string | null {
  const { calibration } = index;
  if (calibration?.source !== SOURCE || calibration.images >= MOST.images) return null;
  let labelled = 0;
  for (const { labels, images } of index.items()) if (labels.length > 0) labelled += images.length;
  const share = labelled / calibration.images;
  if (share >= 0.5 && share <= 2) return null;
  return `the index was calibrated by ${calibration.images} labelled images, and has ${labelled} now: calibrate it again`;
}

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
    source: SOURCE,
  });
  index.calibration = calibration;
  return calibration;
}
