import { ItemList, indexContents, indexTexts, UserError } from '@conquer-dml/run';
import { readSafetensors } from '@conquer-dml/torch';
import { unitRowsOf } from './index-rows.js';
import { IndexSegment } from './index-segment.js';
import type { IndexParts } from './stored-index.js';

/** How far a row's length may be from 1 in an index of distances between rows of length 1. */
const LENGTH_ERROR = 1e-3;

/**
 * Reads an index of an earlier version: one safetensors file.
 *
 * @param folder where the folder of images is now
 * @throws UserError when the file is missing, damaged, or no index, the folder that is given is another one, or its distances
 *   were not between rows of length 1
 */
export function readEarlierIndex(file: string, folder: string | undefined): IndexParts {
  let read: ReturnType<typeof readSafetensors>;
  try {
    read = readSafetensors(file);
  } catch (error) {
    throw new UserError(`the index cannot be read: ${(error as Error).message}`);
  }
  const { tensors, metadata } = read;
  try {
    const embeddings = tensors.get('embeddings');
    const texts = indexTexts.flatMap((name) => {
      const bytes = tensors.get(name)?.toTypedArray();
      return bytes instanceof Uint8Array ? [[name, bytes] as const] : [];
    });
    const stamps = tensors.get('stamps')?.toTypedArray();
    const fields = {
      metadata,
      texts: new Map(texts),
      stamps: embeddings && stamps instanceof Float64Array ? stamps : undefined,
    };
    const count = embeddings?.ndim === 2 ? embeddings.size(0) : -1;
    const { items, metric, origin } = indexContents(fields, count, { file, folder });
    const nameOf = (row: number) => `the row of ${items[row]!.id}`;
    const table = new ItemList(items);
    const rows = unitRowsOf('an index', embeddings!, nameOf).keep();
    using lengths = embeddings!.norm(2, 1);
    const off = lengths.toNumbers().findIndex((length) => Math.abs(length - 1) > LENGTH_ERROR);
    if (metric === 'euclidean' && off >= 0) {
      rows.dispose();
      throw new UserError(
        `${nameOf(off)} is not of length 1, and an index compares by the cosine by now: make one with ImageIndex.of`,
      );
    }
    const segments = count === 0 ? [] : [new IndexSegment(rows, table)];
    if (count === 0) rows.dispose();
    return { segments, dim: embeddings!.size(1), origin, calibration: null };
  } catch (error) {
    const { message } = error as Error;
    if (message.includes(file)) throw error;
    throw new UserError(`${file}: ${message}; index the folder again`);
  } finally {
    for (const value of tensors.values()) value.dispose();
  }
}
