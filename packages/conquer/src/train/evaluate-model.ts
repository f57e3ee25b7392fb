import type { Tensor } from '@conquer/torch';
import { type EvaluateOptions, evaluateEmbeddings, type Metrics } from '../evaluate/evaluate.js';
import type { EmbeddingModel, EmbedOptions } from '../models/embedding-model.js';
import { embedImages } from './embed.js';
import type { TrainingData } from './loop.js';

export interface EvaluateModelOptions extends EmbedOptions, Pick<EvaluateOptions, 'recallAt' | 'nmi'> {
  /** Images embedded so far, of queries and gallery together. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** Retrieval and clustering quality of a model on the test images, searched in the gallery where there is one. */
export async function evaluateModel(
  model: EmbeddingModel,
  data: Pick<TrainingData, 'testLabels' | 'galleryLabels' | 'plain'>,
  { onProgress, recallAt, nmi, ...embed }: EvaluateModelOptions,
): Promise<Metrics> {
  const { testLabels, galleryLabels } = data;
  const total = testLabels.length + (galleryLabels?.length ?? 0);
  const embedded: Tensor[] = [];
  const embedSplit = async (split: 'test' | 'gallery', before: number): Promise<Tensor> => {
    const embeddings = await embedImages(model, data.plain(split), {
      ...embed,
      onProgress: (done) => onProgress?.({ done: before + done, total }),
    });
    embedded.push(embeddings);
    return embeddings;
  };
  try {
    const queries = await embedSplit('test', 0);
    const gallery = galleryLabels && {
      embeddings: await embedSplit('gallery', testLabels.length),
      labels: galleryLabels,
    };
    return evaluateEmbeddings(queries, testLabels, {
      recallAt,
      ...(nmi !== undefined && { nmi }),
      ...(gallery && { gallery }),
    });
  } finally {
    for (const tensor of embedded) tensor.dispose();
  }
}
