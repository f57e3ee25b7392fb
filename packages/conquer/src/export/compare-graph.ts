import type { RawPixels } from '@conquer-dml/image';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { exactRows } from './exact-rows.js';
import { photoPixels } from './photo-pixels.js';
import { RunningGraph } from './runtime.js';

/** How far a graph's rows lie from the model's. */
export interface GraphDifference {
  /** Pictures that were compared. */
  pictures: number;
  /** The least cosine, both given the same pixels of whole pictures. */
  cosPixels: number;
  /** The least cosine, the model given the file, which it reduces while it decodes; null: they were no files. */
  cosFile: number | null;
  /** The largest difference of two numbers, given the same pixels. */
  largest: number;
}

/**
 * Runs a graph of whole pictures in onnxruntime and compares its rows with the model's.
 *
 * @param pictures paths, or pixels
 * @returns null where onnxruntime is not installed
 */
export async function compareGraph(
  model: TrainedModel,
  graph: string,
  pictures: readonly (string | RawPixels)[],
): Promise<GraphDifference | null> {
  const running = await RunningGraph.open(graph);
  if (running === null) return null;
  const found: GraphDifference = { pictures: pictures.length, cosPixels: 1, cosFile: null, largest: 0 };
  for (const picture of pictures) {
    const pixels = typeof picture === 'string' ? await photoPixels(picture) : picture;
    const rows = await running.rows(pixels.data, [1, pixels.height, pixels.width, 3]);
    using exact = await exactRows(model, pixels);
    const same = exact.toNumbers();
    found.cosPixels = Math.min(found.cosPixels, cosine(rows, same));
    for (const [i, value] of rows.entries())
      found.largest = Math.max(found.largest, Math.abs(value - same[i]!));
    if (typeof picture === 'string')
      found.cosFile = Math.min(found.cosFile ?? 1, cosine(rows, await model.embed([picture])));
  }
  await running.close();
  return found;
}

export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  return Math.min(1, dot / Math.sqrt(ofA * ofB));
}
