import { evaluateEmbeddings } from '../evaluate/evaluate.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { photoPixels } from './photo-pixels.js';
import { RunningGraph } from './runtime.js';

/** Photos and the class of each. */
export interface LabelledPhotos {
  paths: readonly string[];
  labels: readonly number[];
}

/** What a search finds by the model's rows and by a graph's, as shares. */
export interface RetrievalLoss {
  images: number;
  recallAt1: { model: number; graph: number };
  mapAtR: { model: number; graph: number };
}

/** Searches labelled photos among themselves, by the model and by a graph. @returns null without onnxruntime */
export async function measureLoss(
  model: TrainedModel,
  graph: string,
  { paths, labels }: LabelledPhotos,
): Promise<RetrievalLoss | null> {
  const running = await RunningGraph.open(graph);
  if (running === null) return null;
  const rows = new Float32Array(paths.length * model.dim);
  for (const [i, path] of paths.entries()) {
    const { width, height, data } = await photoPixels(path);
    rows.set(await running.rows(data, [1, height, width, 3]), i * model.dim);
  }
  await running.close();
  const measured = (of: Float32Array) => {
    const each = paths.map((_, i) => of.subarray(i * model.dim, (i + 1) * model.dim));
    return evaluateEmbeddings(each, Int32Array.from(labels), {
      recallAt: [1],
      nmi: false,
      metrics: ['R@1', 'MAP@R'],
    });
  };
  const [before, after] = [measured(await model.embed(paths)), measured(rows)];
  const both = (name: string) => ({ model: before[name]!, graph: after[name]! });
  return { images: paths.length, recallAt1: both('R@1'), mapAtR: both('MAP@R') };
}
