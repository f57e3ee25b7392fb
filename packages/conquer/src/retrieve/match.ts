import { join, relative } from 'node:path';
import type { Calibration, IndexItem, Json } from '@conquer-dml/run';
import type { Tensor } from '@conquer-dml/torch';
import { matchProbability } from '../evaluate/calibrate.js';
import type { IndexSegment } from './index-segment.js';
import type { FoundRow } from './nearest-rows.js';

/** An image in an index. */
export interface ImageOf {
  /** Of its item. */
  id: string;
  /** Which of the item's images it is, from 0. */
  image: number;
  /** Absolute. null where it is of no file in the index's folder. */
  path: string | null;
}

/** An item that was found, and its image that is near. */
export interface Match extends ImageOf {
  /** Its classes. */
  labels: readonly string[];
  payload: Json;
  /** Cosine of the two embeddings, −1…1: 1 for the same. */
  similarity: number;
  /** That the two are of one class, where as many pairs are as are not; of an index that is calibrated. */
  probability?: number;
}

/** @param folder of the index's images; null: they are of no files */
export function matchOf(
  { segment, place, image, similarity }: FoundRow,
  folder: string | null,
  calibration: Calibration | null,
): Match {
  return matchOfItem(segment.table.item(place), { image, similarity, folder, calibration });
}

/** The same of an item and which of its images is near. */
export function matchOfItem(
  item: IndexItem,
  found: { image: number; similarity: number; folder: string | null; calibration: Calibration | null },
): Match {
  const { image, similarity, folder, calibration } = found;
  const { id, labels, payload } = item;
  const path = pathOf(item, image, folder);
  const probability = calibration && matchProbability(calibration, similarity);
  return { id, labels, payload, path, image, similarity, ...(probability !== null && { probability }) };
}

function pathOf({ images }: IndexItem, image: number, folder: string | null): string | null {
  const path = images[image]!.path;
  return path === null || folder === null ? null : join(folder, path);
}

/** Rows of an index, and the images that they are of. */
export interface IndexBlock {
  /** (images, D) */
  rows: Tensor;
  images: ImageOf[];
}

export function* blocksOf(segment: IndexSegment, size: number, folder: string | null): Generator<IndexBlock> {
  const { table } = segment;
  for (const { rows, start, count } of segment.runs()) {
    for (let done = 0; done < count; done += size) {
      const some = Math.min(size, count - done);
      using block = rows.narrow(0, start + done, some);
      const images = Array.from({ length: some }, (_, i) => {
        const row = start + done + i;
        const place = table.placeOfRow(row);
        const image = row - table.firstRow(place);
        const item = table.item(place);
        return { id: item.id, image, path: pathOf(item, image, folder) };
      });
      yield { rows: block, images };
    }
  }
}

/** An item whose images are looked for from another folder. */
export function inFolder(item: IndexItem, from: string, to: string): IndexItem {
  if (from === to) return item;
  const images = item.images.map(({ path, stamp }) => ({
    path: path === null ? null : relative(to, join(from, path)),
    stamp,
  }));
  return { ...item, images };
}
