import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { noGrad, scope, type Tensor, writeSafetensors } from '@conquer-dml/torch';
import { ImageIndex } from '../retrieve/image-index.js';
import { makeFolder } from './make-folder.js';

/** What was written, and how far it is from the index. */
export interface ExportedIndex {
  file: string;
  bytes: number;
  items: number;
  /** Images. */
  rows: number;
  /** Of up to 256 of its rows: what a search finds in 8 bits; null: there is one row alone. */
  difference: { queries: number; k: number; recall: number; largest: number } | null;
}

/** Bytes of rows, which a page is to hold. */
const MOST = 2 ** 29;
const QUERIES = 256;
const NEAREST = 10;

/**
 * Writes an index in 8 bits a number, for `@conquer-dml/browser`: its items with labels and payload, no paths of files but ids, the
 * thresholds of its calibration, and its rows. A row is scaled so that its largest number is ±127, and rounded; how long it is then
 * says how it was scaled. A search in it is compared with one in the index.
 *
 * @param file safetensors: `rows` int8 (R, D), and in its metadata `conquer.items`, `conquer.embedder`, `conquer.thresholds`
 * @throws UserError where the index is empty or too large, or the file cannot be written
 */
export function exportIndex(index: ImageIndex, file: string): ExportedIndex {
  requireSmall(index, file);
  makeFolder(dirname(file));
  const items = [...index.items()].map(({ id, labels, payload, images }) => {
    return { id, labels, payload, images: images.length };
  });
  const thresholds = (index.calibration?.thresholds ?? []).map(({ rate, similarity, found }) => {
    return { rate, similarity, found };
  });
  const embedder = index.origin?.embedder;
  const metadata = {
    ...(embedder && { 'conquer.embedder': embedder }),
    'conquer.items': JSON.stringify(items),
    'conquer.thresholds': JSON.stringify(thresholds),
  };
  return scope(() =>
    noGrad(() => {
      const rounded = inBytes(index.allRows());
      writeSafetensors(file, new Map([['rows', rounded]]), metadata);
      using small = ImageIndex.of(rounded.to({ dtype: 'float32' }), items);
      const difference = differenceOf(index, small);
      return { file, bytes: statSync(file).size, items: items.length, rows: index.imageCount, difference };
    }),
  );
}

/** Sees to it, before any work, that an index is one for a page. @throws UserError where it is empty or too large */
export function requireSmall({ imageCount, dim }: ImageIndex, file: string): void {
  if (imageCount > 0 && imageCount * dim <= MOST) return;
  throw new UserError(
    `${file}: expected an index of 1 to ${Math.floor(MOST / dim)} images, which a page can hold, got ${imageCount}`,
  );
}

/** int8, each row by its own scale. @param rows float32 (R, D) */
const inBytes = (rows: Tensor): Tensor =>
  rows
    .mul(rows.abs().amax([1], true).reciprocal().mul(127))
    .round()
    .to({ dtype: 'int8' });

/** Of some rows the share of the nearest others that are found, and how far the similarities of those are from what they were. */
function differenceOf(index: ImageIndex, small: ImageIndex): ExportedIndex['difference'] {
  const { imageCount } = index;
  const k = Math.min(NEAREST, imageCount - 1);
  if (k === 0) return null;
  const queries = Math.min(QUERIES, imageCount);
  const places = Array.from({ length: queries }, (_, i) => Math.floor((i * imageCount) / queries));
  using rows = index.rowsOf(places);
  const own = small.search(rows, k + 1, { per: 'image' });
  let [found, largest] = [0, 0];
  for (const [query, exact] of index.search(rows, k + 1, { per: 'image' }).entries()) {
    // The row itself is the first.
    const wanted = new Map(exact.slice(1).map((one) => [`${one.image} ${one.id}`, one.similarity]));
    for (const { image, id, similarity } of own[query]!.slice(1)) {
      const before = wanted.get(`${image} ${id}`);
      if (before === undefined) continue;
      found++;
      largest = Math.max(largest, Math.abs(similarity - before));
    }
  }
  return { queries, k, recall: found / (queries * k), largest };
}
