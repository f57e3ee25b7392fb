import { noGrad, scope, type Tensor, tensor } from '@conquer/torch';
import { inScope, type Steps, withPauses } from '../distances/steps.js';
import { UserError } from '../error.js';
import { type EvaluateOptions, evaluateSteps, type Metrics } from '../evaluate/evaluate.js';
import type { EmbeddingModel, EmbedOptions } from '../models/embedding-model.js';
import type { Batch } from '../transforms/loader.js';
import { type EmbedImagesOptions, embedImages } from './embed.js';
import type { TrainingData } from './loop.js';

export interface EvaluateModelOptions
  extends EmbedOptions,
    Pick<EmbedImagesOptions, 'profile'>,
    Pick<EvaluateOptions, 'recallAt' | 'nmi' | 'extended'> {
  /** Default 'test', whose images are looked for in the gallery where there is one. */
  split?: 'test' | 'validation';
  /** Images embedded so far, of queries and gallery together. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Ends the work early, with Interrupted. */
  signal?: AbortSignal | undefined;
}

/** Embeddings of unit length that all lie this close to their mean say the same of every image. */
const COLLAPSED = 0.01;

/** What an evaluation found, and the embeddings it was found in; dispose() frees them. */
export interface ModelEvaluation {
  metrics: Metrics;
  /** (N, D), rows of length 1. An image that cannot be read has another's row here, which the metrics leave out. */
  queries: Tensor;
  /** (M, D), where there is a gallery. */
  gallery: Tensor | null;
  /** Whether all queries are embedded as one point, as good as: within 0.01 of their mean. */
  collapsed: boolean;
  /** Frees `queries` and `gallery`. */
  dispose(): void;
}

/**
 * Retrieval and clustering quality of a model on images of unseen classes, see `evaluateEmbeddings`.
 *
 * @returns metrics and embeddings, which belong to the caller: dispose() frees them
 * @throws RangeError when the data have no such split
 * @throws UserError when the embeddings are not finite: the weights have diverged
 * @throws Interrupted after `signal` was aborted
 */
export async function evaluateModel(
  model: EmbeddingModel,
  data: Pick<TrainingData, 'testLabels' | 'validationLabels' | 'galleryLabels' | 'plain'>,
  { onProgress, signal, recallAt, nmi, extended = false, split = 'test', ...embed }: EvaluateModelOptions,
): Promise<ModelEvaluation> {
  const labels = split === 'test' ? data.testLabels : data.validationLabels;
  if (!labels) throw new RangeError(`evaluateModel: the data have no ${split} images`);
  const galleryLabels = split === 'test' ? data.galleryLabels : undefined;
  const total = labels.length + (galleryLabels?.length ?? 0);
  const embedded: Tensor[] = [];
  const dispose = () => {
    for (const tensor of embedded) tensor.dispose();
  };
  const bad = { queries: new Set<number>(), gallery: new Set<number>() };
  const embedSplit = async (
    name: 'test' | 'validation' | 'gallery',
    before: number,
    replaced: Set<number>,
  ): Promise<Tensor> => {
    const embeddings = await embedImages(model, noteReplaced(data.plain(name), replaced), {
      ...embed,
      signal,
      onProgress: (done) => onProgress?.({ done: before + done, total }),
    });
    embedded.push(embeddings);
    return embeddings;
  };
  try {
    const queries = await embedSplit(split, 0, bad.queries);
    const radius = radiusOf(queries);
    if (!Number.isFinite(radius))
      throw new UserError(
        'the embeddings are not finite: the weights have diverged; lower the learning rate (--lr)',
      );
    const gallery = galleryLabels ? await embedSplit('gallery', labels.length, bad.gallery) : null;
    const measure = function* (): Steps<Metrics> {
      const measured = without(queries, labels, bad.queries);
      return yield* evaluateSteps(measured.embeddings, measured.labels, {
        recallAt,
        extended,
        ...(nmi !== undefined && { nmi }),
        ...(gallery && galleryLabels && { gallery: without(gallery, galleryLabels, bad.gallery) }),
      });
    };
    const metrics = await withPauses(inScope(measure()), signal);
    return { metrics, queries, gallery, collapsed: radius < COLLAPSED, dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

/** The batches, and in `replaced` the rows in which the loader put another image than the split's. */
async function* noteReplaced(batches: AsyncIterable<Batch>, replaced: Set<number>): AsyncGenerator<Batch> {
  let row = 0;
  for await (const batch of batches) {
    for (const index of batch.indices) {
      if (index !== row) replaced.add(row);
      row++;
    }
    yield batch;
  }
}

/** Without these rows: a query would find the image that stands in for it. */
function without(
  embeddings: Tensor,
  labels: Int32Array,
  rows: ReadonlySet<number>,
): { embeddings: Tensor; labels: Int32Array } {
  if (rows.size === 0) return { embeddings, labels };
  const kept = Int32Array.from(labels.keys()).filter((row) => !rows.has(row));
  const index = tensor(kept, { dtype: 'int64', device: embeddings.device });
  return { embeddings: embeddings.indexSelect(0, index), labels: kept.map((row) => labels[row]!) };
}

/** The largest distance from the mean: between half of the largest distance of two embeddings and all of it. */
function radiusOf(embeddings: Tensor): number {
  return scope(() => noGrad(() => embeddings.sub(embeddings.mean(0)).square().sum(1).max().sqrt().item()));
}
