import { type Calibration, type IndexItem, UserError } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import { type CalibrateOptions, calibrate, drawnRows, MOST } from '../evaluate/calibrate.js';
import { Random } from '../random.js';
import type { AnyIndex } from './any-index.js';
import type { ImageIndex } from './image-index.js';
import type { StoreIndex } from './store-index.js';

const SOURCE = 'labelled items of the index';

/**
 * Why the calibration of an index may say little of it: it is of the index's own labelled images, of which there are by now more than
 * twice as many, or fewer than half. null: nothing speaks against it, or there is none.
 */
export async function outgrown(index: AnyIndex): Promise<string | null> {
  const { calibration } = index;
  if (calibration?.source !== SOURCE || calibration.images >= MOST.images) return null;
  let labelled = 0;
  for await (const { labels, images } of index.items()) if (labels.length > 0) labelled += images.length;
  const share = labelled / calibration.images;
  if (share >= 0.5 && share <= 2) return null;
  return `the index was calibrated by ${calibration.images} labelled images, and has ${labelled} now: calibrate it again`;
}

/** Images that have a class, and the numbers of their classes. */
class LabelledImages {
  readonly #numbers = new Map<string, number>();
  readonly labels: number[] = [];
  /** Where their rows are. */
  readonly places: number[] = [];

  /** @param first where the rows of the item begin */
  add({ labels: [label], images }: IndexItem, first: number): void {
    if (label === undefined) return;
    const number = this.#numbers.get(label) ?? this.#numbers.size;
    this.#numbers.set(label, number);
    for (let image = 0; image < images.length; image++) {
      this.places.push(first + image);
      this.labels.push(number);
    }
  }

  /** @throws UserError where they are of one class or none */
  requireClasses(): void {
    if (this.#numbers.size < 2)
      throw new UserError(
        `an index is calibrated by items of two classes or more, it has labels of ${this.#numbers.size}: index a folder of class folders, or a CSV file with a column label`,
      );
  }
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
  const labelled = new LabelledImages();
  let row = 0;
  for (const item of index.items()) {
    labelled.add(item, row);
    row += item.images.length;
  }
  labelled.requireClasses();
  using rows = index.rowsOf(labelled.places);
  return calibrated(index, rows, labelled.labels, options);
}

/** The same of an index in a store, of which no more rows are read than are looked at; it is kept there at once. */
export async function calibrateStore(
  index: StoreIndex,
  options: Pick<CalibrateOptions, 'rates' | 'seed'> = {},
): Promise<Calibration> {
  const labelled = new LabelledImages();
  for await (const item of index.storedItems()) labelled.add(item, item.first);
  labelled.requireClasses();
  const drawn = drawnRows(Int32Array.from(labelled.labels), new Random(options.seed ?? 0));
  using rows = await index.rowsAt(drawn.rows.map((at) => labelled.places[at]!));
  const calibration = calibrated(index, rows, drawn.classes, options);
  await index.save();
  return calibration;
}

function calibrated(
  index: AnyIndex,
  rows: Tensor,
  labels: ArrayLike<number>,
  options: Pick<CalibrateOptions, 'rates' | 'seed'>,
): Calibration {
  const calibration = calibrate(rows, Int32Array.from(labels), {
    ...options,
    embedder: index.origin?.embedder ?? null,
    source: SOURCE,
  });
  index.calibration = calibration;
  return calibration;
}
